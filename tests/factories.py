"""A study as if it had been trained: training jobs with artificial predictions, for any study of a params.yaml."""

import copy
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgrid.config import load
from medgrid.config.metrics import SIZES
from medgrid.data import HELD_OUT, PARTS, UNLABELLED
from medgrid.evaluation.evaluate import write_results
from medgrid.evaluation.networks import NETWORK, network_of
from medgrid.evaluation.submissions import write_submissions
from medgrid.grid.layout import lay_out
from medgrid.grid.manifest import StudyManifest
from medgrid.training.predictions import Predictions, write_predictions

IMAGES = 180  # a third of them in each part
TESTED = IMAGES // 3
NEAR_DUPLICATES = 0.1  # share of test images with a near-duplicate in the training part

# settings of the data set of a competition
CONTEST = {
    "folder": None, "sha256": None, "kaggle": {"handle": "some-contest"}, "unlabelled": r"^test/(?P<id>\w+)\.tif$",
}  # fmt: skip


def settings_of(params: dict, key: str = "odd") -> tuple[StudyManifest, dict[str, dict]]:
    """The manifest of a study, and the settings of its training jobs by name."""
    layout = lay_out(load(params))
    manifest = layout.manifests[key]
    one_each = layout.one_job_per[key] == "replicate"
    jobs = {}
    for name in manifest.all_jobs:
        settings = layout.jobs[f"{key}/{name}"].settings
        jobs[name] = settings | {"one_each": one_each and settings["source"] == "images"}
    return manifest, jobs


def small(
    axes: dict,
    models=("resnet18",),
    classes=("a", "b", "c"),
    replicates: int | dict = 2,
    dataset: dict | None = None,
    **study,
) -> dict:
    """Parameters with one study, `odd`; what is not an axis is fixed."""
    fixed = {
        "model": models[0], "mode": "full", "optimizer": "adam", "loss": "cross_entropy", "epochs": 4,
        "batch_size": 32, "lr": 0.001,
    }  # fmt: skip
    return {
        "run": ["odd"],
        "source": "synthetic",
        "weights": dict.fromkeys(models, "random"),
        "datasets": {
            "phantoms": {
                "title": "Phantoms", "folder": "x", "sha256": "0" * 64, "classes": list(classes),
                "synthetic": {"template": "{label}/{n}.png"},
            }
            | (dataset or {})
        },
        "studies": {
            "odd": {
                "title": "Odd", "document": "x", "dataset": "phantoms", "split": {"test": 0.2, "validation": 0.2},
                "fixed": {name: value for name, value in fixed.items() if name not in axes}, "axes": axes,
                "replicates": replicates, **study,
            }
        },
    }  # fmt: skip


def shortened(params: dict, key: str) -> dict:
    """A study of params.yaml with its whole grid, but short trainings of two seeds."""
    params = copy.deepcopy(params) | {"source": "synthetic"}
    params["studies"][key] |= {"replicates": 2, "fixed": params["studies"][key]["fixed"] | {"epochs": 3}}
    return params


def _skill(cell: str) -> float:
    """How good a cell is: an arbitrary number, always the same one."""
    return 0.4 + 2.2 * (zlib.crc32(cell.encode()) % 1000) / 1000


def _probabilities(rng: np.random.Generator, cell: str, labels: np.ndarray, shape: tuple) -> np.ndarray:
    pull = _skill(cell) + 0.1 * rng.normal()
    logits = rng.normal(size=shape) + pull * np.eye(shape[-1])[labels]
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def _train(
    cell: dict, seed: int, truths: dict[str, np.ndarray], count: int, fails: bool, patience: int
) -> tuple[dict[str, np.ndarray], int, int, list[list]]:
    """One training: probabilities by part, its best and its last epoch, and rows of its curves.

    `truths`: true classes by part. A training that fails does so in epoch 1.
    """
    rng = np.random.default_rng([seed, zlib.crc32(cell["id"].encode())])
    most = cell["training"]["epochs"]
    epochs = 1 if fails else most - (rng.integers(0, most // 2 + 1) if patience else 0)
    probabilities = {}
    for part, truth in truths.items():
        checkpoints = () if part == UNLABELLED else (2,)
        values = _probabilities(rng, cell["id"], truth, (*checkpoints, len(truth), count))
        probabilities[part] = np.full_like(values, np.nan) if fails else values
    rows = []
    for epoch in range(1, epochs + 1):
        loss = 1.5 * np.exp(-_skill(cell["id"]) * epoch / most) + 0.05 * rng.random()
        curve = [loss, 1 - loss / 2, 1.1 * loss, 1 - loss / 1.8]
        rows.append([cell["id"], seed, epoch, *([np.nan] * 4 if fails else curve), 0.001])
    return probabilities, 0 if fails else max(1, epochs - 1), epochs, rows


def write_job(
    folder: Path, job: dict, seeds: list[int], unlabelled: int = 0, diverged: tuple = (), patience: int = 0
) -> None:
    """Write what the training of a block of seeds leaves in `folder`; `diverged`: (cell, seed) of failures."""
    folder.mkdir(parents=True)
    cells, classes = job["cells"], job["classes"]
    count, shape = len(classes), (len(cells), len(seeds))
    labels = np.arange(TESTED) % count
    truths = dict.fromkeys(HELD_OUT, labels) | {UNLABELLED: np.arange(unlabelled) % count}
    probabilities = {part: np.empty((*shape, 2, TESTED, count), np.float32) for part in HELD_OUT}
    probabilities[UNLABELLED] = np.empty((*shape, unlabelled, count), np.float32)
    best, epochs, failed = (np.zeros(shape, int) for _ in range(3))
    rows = []
    for i, cell in enumerate(cells):
        for j, seed in enumerate(seeds):
            failed[i, j] = (cell["id"], seed) in diverged
            values, best[i, j], epochs[i, j], curves = _train(cell, seed, truths, count, bool(failed[i, j]), patience)
            rows += curves
            for part, array in values.items():
                probabilities[part][i, j] = array
    if not unlabelled:
        del probabilities[UNLABELLED]
    pace = 20 * _skill(cells[0]["id"][:5])  # seconds per epoch
    penalised = any(layer["l1"] or layer["l2"] for layer in job["model"]["layers"])
    images = {part: [f"{i}.png" for i in range(IMAGES) if part_of(i, classes) == part] for part in HELD_OUT}
    predictions = Predictions(
        cells=[cell["id"] for cell in cells],
        seeds=seeds,
        classes=classes,
        best_epoch=best,
        epochs=epochs,
        diverged_at=failed,
        seconds=epochs * pace * np.linspace(1, 2, shape[0])[:, None],
        penalty=np.full((*shape, 2), 0.25 * penalised),
        probabilities=probabilities,
        images=images | {UNLABELLED: [f"test/{i:040x}.tif" for i in range(unlabelled)]},
        labels=dict.fromkeys(HELD_OUT, labels),
    )
    write_predictions(folder, predictions)
    names = ["cell", "seed", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "curves.csv", index=False)
    write_description(folder, job)


def write_description(folder: Path, job: dict) -> None:
    """Write the job.json of a training on the CPU."""
    stamp = {"device": "cpu", "precision": "float32", "torch": "2"}
    model = job["cells"][0]["training"]["model"]
    backbone = {"model": model, "architecture": job["model"]["backbone"], "weights": job["weights"], "sha256": None}
    backbone |= dict.fromkeys(stamp)
    (folder / "job.json").write_text(json.dumps({"backbone": backbone, "training": stamp, "source": "images"}))


def write_models(manifest: StudyManifest, folder: Path) -> None:
    """Write networks/: sizes of the networks, and drawings of them."""
    rows = {}
    for training in manifest.trainings.values():
        network = tuple(network_of(training, manifest.classes).values())
        size = zlib.crc32(training.model.encode()) % 40_000_000
        rows[network] = [*network, size, size // 4, size - size // 4, 13, 2, 0, 0, 7, "all"]
    (folder / "networks").mkdir(parents=True)
    table = pd.DataFrame(rows.values(), columns=[*NETWORK, *SIZES, "trains"])
    table.to_csv(folder / "networks" / "networks.csv", index=False)
    for model in manifest.models:
        (folder / "networks" / f"{model}.txt").write_text(f"{model} <layers>\n")


def part_of(image: int, classes: list[str]) -> str:
    return PARTS[image // len(classes) % 3]


def write_images(manifest: StudyManifest, folder: Path, unlabelled: int) -> None:
    """Write images.csv, which serves as inventory and split, and tensors.npy."""
    classes = manifest.classes
    images = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(IMAGES + unlabelled)], "row": range(IMAGES + unlabelled),
            "label": [classes[i % len(classes)] for i in range(IMAGES)] + [""] * unlabelled,
            "part": [part_of(i, classes) for i in range(IMAGES)] + [UNLABELLED] * unlabelled,
            "error": "", "pixels_sha256": range(IMAGES + unlabelled), "group": "", "format": "PNG", "mode": "L",
            "cluster": range(IMAGES + unlabelled), "width": 24, "height": 24,
        }
    )  # fmt: skip
    tested = images.index[images["part"] == "test"]
    near_duplicates = np.arange(len(tested)) < NEAR_DUPLICATES * len(tested)
    images["near_duplicate"] = images["lookup"] = ""
    images.loc[tested, "near_duplicate"] = np.where(near_duplicates, "yes", "no")
    # the lookup is right on three of four test images
    right = np.arange(len(tested)) % 4 > 0
    images.loc[tested, "lookup"] = np.where(right, images.loc[tested, "label"], classes[0])
    images.to_csv(folder / "images.csv", index=False)
    for other in manifest.other_splits:
        # the same parts, in clusters of one image of each class
        images.assign(cluster=images["cluster"] // len(classes)).to_csv(folder / f"{other.split}.csv", index=False)
    channels = 1 if manifest.image.colour == "grey" else 3
    pixels = np.random.default_rng(0).integers(0, 255, (IMAGES + unlabelled, 24, 24, channels))
    np.save(folder / "tensors.npy", pixels.astype(np.uint8))


def write_leakage(manifest: StudyManifest, folder: Path) -> None:
    """Write leakage.json, as if nine of ten test images had no counterpart in training."""
    content = {
        "study": manifest.study, "protocol": manifest.protocol, "train_images": TESTED, "test_images": TESTED,
        "copies_in_training": 2, "near_duplicates_in_training": 6, "groups_in_training": 0,
        "lookup": 0.75, "lookup_deduplicated": 0.5,
    }  # fmt: skip
    (folder / "leakage.json").write_text(json.dumps(content))


def block_name(seeds: list[int]) -> str:
    return f"seeds-{seeds[0]}" if len(seeds) == 1 else f"seeds-{seeds[0]}-{seeds[-1]}"


def write_study(
    folder: Path,
    manifest: StudyManifest,
    jobs: dict[str, dict],
    diverged: tuple = (),
    blocks: list[list[int]] | None = None,
) -> None:
    """Write what is in a study's folder before its evaluation.

    `blocks`: seeds of each block of a job; by default all in one, or one each in a study with a job per replicate.
    """
    unlabelled = 10 if manifest.submission else 0
    for name, job in jobs.items():
        seeds = list(manifest.seeds_of(name))
        patience = max(cell["training"]["patience"] for cell in job["cells"])
        for block in blocks or ([[seed] for seed in seeds] if job["one_each"] else [seeds]):
            write_job(folder / "jobs" / name / block_name(block), job, block, unlabelled, diverged, patience)
    write_models(manifest, folder)
    write_images(manifest, folder, unlabelled)
    write_leakage(manifest, folder)


def evaluate(folder: Path, manifest: StudyManifest) -> None:
    write_results(manifest, str(folder), str(folder / "images.csv"))


def finish(
    folder: Path,
    manifest: StudyManifest,
    figures: bool = True,
    site: bool = False,
    before_page: Callable | None = None,
) -> str:
    """Tables, figures and page, as the rules make them; returns the page."""
    evaluate(folder, manifest)
    return reported(folder, manifest, figures, site, before_page)


def reported(
    folder: Path,
    manifest: StudyManifest,
    figures: bool = True,
    site: bool = False,
    before_page: Callable | None = None,
) -> str:
    """Figures and page of a study that has its tables; returns the page.

    The site is in the study's own folder or, with `site`, next to it, for several studies.
    """
    from medgrid.report.figures.write import write_figures
    from medgrid.report.labelled_results import LabelledResults
    from medgrid.report.model_card import write_model_cards
    from medgrid.report.site.page import facts_of_images, write_page

    images, tensors = str(folder / "images.csv"), str(folder / "tensors.npy")
    if manifest.submission:
        write_submissions(manifest, str(folder))
    if figures:
        write_figures(manifest, str(folder), images, tensors)
    write_model_cards(manifest, str(folder), images, images, tensors)
    if before_page:
        before_page()
    site_folder = folder.parent / "report" if site else folder / "report"
    facts = facts_of_images(manifest, Path(images), Path(images))
    write_page(LabelledResults(manifest, folder, Path(images)), facts, str(site_folder))
    return (site_folder / manifest.study / "index.html").read_text()


def finished(
    folder: Path, params: dict, key: str = "odd", diverged: tuple = (), **options
) -> tuple[StudyManifest, str]:
    """An artificial study with its report; returns its manifest and its page."""
    manifest, jobs = settings_of(params, key)
    write_study(folder, manifest, jobs, diverged)
    return manifest, finish(folder, manifest, **options)


def evaluated(folder: Path, params: dict, key: str = "odd", diverged: tuple = ()):
    """An artificial study as figures read it."""
    from medgrid.report.figures import style
    from medgrid.report.labelled_results import LabelledResults

    manifest, jobs = settings_of(params, key)
    write_study(folder, manifest, jobs, diverged)
    evaluate(folder, manifest)
    style.use()
    return LabelledResults(manifest, folder, folder / "images.csv", folder / "tensors.npy")


# a comparison and a claim as claims.json has them
COMPARISON: dict[str, Any] = {
    "relation": "above", "left": {"lr": [0.1]}, "right": {"lr": [0.01]}, "where": {}, "metric": "test_accuracy",
    "curve": None, "details": {}, "unit": "share", "over": "seeds and test images", "holds": [0, None],
    "negligible_below": 0.01, "estimate": 0.0224, "low": -0.001, "high": 0.03, "p_support": 0.04, "p_against": 0.9,
    "p_negligible": 0.8, "p_against_corrected": 1.0, "verdict": "open", "verdict_alone": "open", "replicates": 3,
    "missing": None, "strata": [],
}  # fmt: skip
CLAIM: dict[str, Any] = {
    "name": "x", "text": "x", "source": "", "verdict": "open", "on_average_only": False, "margins": None,
    "p_support": 0.04, "p_against": 1.0, "verdict_in_study": "open", "needed": None, "decisive": [0],
    "comparisons": [COMPARISON],
}  # fmt: skip
