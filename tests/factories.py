"""A study as if it had been trained: jobs with made-up predictions, for any study that params.yaml could hold."""

import copy
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from medgrid.config import load
from medgrid.config.metrics import SIZES
from medgrid.data import HELD_OUT, PARTS
from medgrid.evaluation.submissions import write_submissions
from medgrid.evaluation.tables import write_tables
from medgrid.evaluation.verdicts import write_verdicts
from medgrid.grid.layout import plan
from medgrid.report.figures import style
from medgrid.report.figures.write import write_figures
from medgrid.report.model_card import write_model_cards
from medgrid.report.site.page import write_page
from medgrid.report.study import Study

IMAGES = 180  # a third of them in each part
TESTED = IMAGES // 3
SAME_PICTURE = 0.1  # share of test images that part train shows, too

# what a data set of a competition has beside the others' settings
CONTEST = {
    "folder": None, "sha256": None, "kaggle": {"handle": "some-contest"}, "unlabelled": r"^test/(?P<id>\w+)\.tif$",
}  # fmt: skip


def settings_of(params: dict, key: str) -> tuple[dict, dict[str, dict]]:
    """A study's settings as its jobs get them, and those of its jobs."""
    laid_out = plan(load(params))
    jobs = {name: laid_out.jobs[f"{key}/{name}"].settings for name in laid_out.jobs_of[key]}
    return laid_out.studies[key].settings, jobs


def small(
    axes: dict,
    models=("resnet18",),
    classes=("a", "b", "c"),
    replicates: int = 2,
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
    """How good a cell is: any number will do, but always the same one."""
    return 0.4 + 2.2 * (zlib.crc32(cell.encode()) % 1000) / 1000


def write_job(folder: Path, job: dict, unlabelled: int = 0, diverged: tuple = (), patience: int = 0) -> None:
    """What a training leaves behind. `diverged`: (cell, seed) that did in epoch 1."""
    folder.mkdir(parents=True)
    cells, seeds, classes = job["cells"], job["seeds"], job["classes"]
    count, shape = len(classes), (len(cells), len(seeds))
    labels = np.arange(TESTED) % count
    values = {part: np.empty((*shape, 2, TESTED, count), np.float32) for part in HELD_OUT}
    loose = np.empty((*shape, unlabelled, count), np.float32)
    best, epochs, failed = (np.zeros(shape, int) for _ in range(3))
    rows = []
    for i, cell in enumerate(cells):
        for j, seed in enumerate(seeds):
            rng = np.random.default_rng([seed, zlib.crc32(cell["id"].encode())])
            most = cell["training"]["epochs"]
            fails = (cell["id"], seed) in diverged
            epochs[i, j] = 1 if fails else most - (rng.integers(0, most // 2 + 1) if patience else 0)
            best[i, j], failed[i, j] = (0, 1) if fails else (max(1, epochs[i, j] - 1), 0)
            for target in (*values.values(), loose):
                truth = labels if target is not loose else np.arange(unlabelled) % count
                pull = _skill(cell["id"]) + 0.1 * rng.normal()
                logits = rng.normal(size=target[i, j].shape) + pull * np.eye(count)[truth]
                target[i, j] = np.nan if fails else np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            for epoch in range(1, epochs[i, j] + 1):
                loss = 1.5 * np.exp(-_skill(cell["id"]) * epoch / most) + 0.05 * rng.random()
                curve = [loss, 1 - loss / 2, 1.1 * loss, 1 - loss / 1.8]
                rows.append([cell["id"], seed, epoch, *([np.nan] * 4 if fails else curve), 0.001])
    pace = 20 * _skill(cells[0]["id"][:5])  # seconds per epoch
    penalised = any(layer["l1"] or layer["l2"] for layer in job["model"]["layers"])
    files = {
        "cells": [cell["id"] for cell in cells], "seeds": seeds, "classes": classes, "best_epoch": best,
        "diverged_at": failed, "epochs": epochs, "seconds": epochs * pace * np.linspace(1, 2, shape[0])[:, None],
        "penalty": np.full((*shape, 2), 0.25 * penalised),
    }  # fmt: skip
    for part in HELD_OUT:
        files |= {
            f"{part}_probabilities": values[part],
            f"{part}_labels": labels,
            f"{part}_images": [f"{i}.png" for i in range(IMAGES) if part_of(i, classes) == part],
        }
    if unlabelled:
        images = [f"test/{i:040x}.tif" for i in range(unlabelled)]
        files |= {"unlabelled_probabilities": loose, "unlabelled_images": images}
    np.savez(folder / "predictions.npz", **{name: np.asarray(value) for name, value in files.items()})
    names = ["cell", "seed", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "curves.csv", index=False)
    stamp = {"device": "cpu", "precision": "float32", "torch": "2"}
    model = cells[0]["training"]["model"]
    backbone = {"model": model, "backbone": job["model"]["backbone"], "weights": job["weights"], "sha256": None}
    backbone |= dict.fromkeys(stamp)
    (folder / "job.json").write_text(json.dumps({"backbone": backbone, "training": stamp, "source": "images"}))


def write_models(settings: dict, folder: Path) -> None:
    """Sizes of the networks, as the packages on the left of the report write them."""
    rows = {}
    for training in settings["trainings"].values():
        outputs = 1 if training["loss"] == "binary_cross_entropy" else len(settings["classes"])
        key = training["model"], training["mode"], training["unfrozen"], outputs
        size = zlib.crc32(training["model"].encode()) % 40_000_000
        rows[key] = [*key, size, size // 4, size - size // 4, 13, 2, 0, 0, 7, "all"]
    names = ["model", "mode", "unfrozen", "outputs", *SIZES, "trains"]
    pd.DataFrame(rows.values(), columns=names).to_csv(folder / "models.csv", index=False)
    (folder / "models").mkdir()
    for model in settings["models"]:
        (folder / "models" / f"{model}.txt").write_text(f"{model} <layers>\n")


def part_of(image: int, classes: list[str]) -> str:
    return PARTS[image // len(classes) % 3]


def write_images(settings: dict, folder: Path, unlabelled: int) -> None:
    """Inventory, split and tensors."""
    classes = settings["classes"]
    images = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(IMAGES + unlabelled)], "row": range(IMAGES + unlabelled),
            "label": [classes[i % len(classes)] for i in range(IMAGES)] + [""] * unlabelled,
            "part": [part_of(i, classes) for i in range(IMAGES)] + ["unlabelled"] * unlabelled,
            "error": "", "pixels_sha256": range(IMAGES + unlabelled), "group": "", "format": "PNG", "mode": "L",
            "cluster": range(IMAGES + unlabelled), "width": 24, "height": 24,
        }
    )  # fmt: skip
    tested = images.index[images["part"] == "test"]
    images["near_duplicate"] = ""
    images.loc[tested, "near_duplicate"] = np.where(np.arange(len(tested)) < SAME_PICTURE * len(tested), "yes", "no")
    images.to_csv(folder / "images.csv", index=False)
    channels = 1 if settings["image"]["colour"] == "grey" else 3
    pixels = np.random.default_rng(0).integers(0, 255, (IMAGES + unlabelled, 24, 24, channels))
    np.save(folder / "tensors.npy", pixels.astype(np.uint8))


def write_study(folder: Path, settings: dict, jobs: dict[str, dict], diverged: tuple = ()) -> None:
    """Everything that lies in a study's folder before it is evaluated."""
    unlabelled = 10 if settings["submission"] else 0
    for name, job in jobs.items():
        patience = max(cell["training"]["patience"] for cell in job["cells"])
        write_job(folder / "jobs" / name, job, unlabelled, diverged, patience)
    write_models(settings, folder)
    write_images(settings, folder, unlabelled)


def evaluate(folder: Path, settings: dict) -> None:
    write_tables(settings, str(folder), str(folder / "images.csv"))
    write_verdicts(settings, str(folder), str(folder / "images.csv"))


def finish(
    folder: Path, settings: dict, figures: bool = True, site: bool = False, before_page: Callable | None = None
) -> str:
    """Tables, figures and page, as the rules make them; returns the page."""
    evaluate(folder, settings)
    return reported(folder, settings, figures, site, before_page)


def reported(
    folder: Path, settings: dict, figures: bool = True, site: bool = False, before_page: Callable | None = None
) -> str:
    """Figures and page of a study that has its tables; returns the page.

    The site lies in the study's own folder or, with `site`, beside it, for several studies.
    """
    images, tensors = str(folder / "images.csv"), str(folder / "tensors.npy")
    if settings["submission"]:
        write_submissions(settings, str(folder))
    if figures:
        write_figures(settings, str(folder), images, tensors)
    write_model_cards(settings, str(folder), images, images, tensors)
    if before_page:
        before_page()
    site = folder.parent / "report" if site else folder / "report"
    write_page(settings, str(folder), images, images, str(site))
    return (site / settings["study"] / "index.html").read_text()


def finished(folder: Path, params: dict, key: str = "odd", diverged: tuple = (), **options) -> tuple[dict, str]:
    """A study made up and reported; returns its settings and its page."""
    settings, jobs = settings_of(params, key)
    write_study(folder, settings, jobs, diverged)
    return settings, finish(folder, settings, **options)


def evaluated(folder: Path, params: dict, key: str = "odd", diverged: tuple = ()) -> Study:
    """A study as the figures get it."""
    settings, jobs = settings_of(params, key)
    write_study(folder, settings, jobs, diverged)
    evaluate(folder, settings)
    style.use()
    return Study(settings, folder)
