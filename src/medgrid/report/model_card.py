"""Model cards (Mitchell et al. 2019): what a network is, for whom, how well it does, how far to trust it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from medgrid.data import PARTS
from medgrid.evaluation.labels import ABSENT, setting_name, setting_value
from medgrid.evaluation.metrics import CONFIDENCE
from medgrid.grid.versions import manifest_name
from medgrid.models.weights import sha256_of
from medgrid.report.figures.published import is_share
from medgrid.report.site.render import render
from medgrid.report.study import Study, read
from medgrid.report.subgroups import SMALLEST, brightness, subgroups

METRICS = {
    "test_accuracy": "accuracy", "test_accuracy_deduplicated": "accuracy without near-duplicates", "test_recall_macro":
    "balanced accuracy", "test_f1_macro": "F1, mean of classes", "test_kappa": "kappa", "test_auc_macro":
    "AUC, mean of classes", "test_loss": "loss", "validation_accuracy": "validation accuracy",
}  # fmt: skip
CALIBRATION = {
    "test_ece": "ECE", "test_ece_scaled": "ECE, scaled", "test_loss": "loss", "test_loss_scaled": "loss, scaled",
    "test_brier": "Brier score", "temperature": "temperature",
}  # fmt: skip
COPIES = {
    "file": "the same file",
    "pixels": "the same pixels",
    "near_duplicate": "the same picture",
    "near": "the same picture",
}


def number(value: float, metric: str) -> str:
    if pd.isna(value):
        return ABSENT
    return f"{100 * value:.1f} %" if is_share(metric) else f"{value:.3f}"


def plain(value: Any) -> str:
    """Text that does not end a cell of a Markdown table."""
    return str(value).replace("|", r"\|")


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves at least 1."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def span(low: float, high: float, metric: str) -> str:
    return ABSENT if pd.isna(low) else f"{number(low, metric)} to {number(high, metric)}"


def _measured(best: pd.Series, metrics: dict[str, str], wider: pd.DataFrame | None = None) -> list[tuple[str, ...]]:
    """Name, mean and interval over seeds of metrics at a cell's best epoch; behind it the one over images, too."""
    rows = []
    for metric, name in metrics.items():
        row = (
            name,
            number(best[f"{metric}_mean"], metric),
            span(best[f"{metric}_low"], best[f"{metric}_high"], metric),
        )
        if wider is not None:
            both = wider.reindex([metric])[["both_low", "both_high"]].iloc[0]
            row += (span(*both, metric),)
        rows.append(row)
    return rows


def _wider(study: Study, cell: str) -> pd.DataFrame | None:
    """Intervals of a cell over seeds and test images, by metric, where they were computed."""
    file = study.folder / "intervals.csv"
    if not file.exists():
        return None
    table = read(file)
    return table[table["cell"] == cell].set_index("metric")


def _settings(training: dict) -> list[tuple[str, str]]:
    """A training's settings, without those that are off."""
    idle = {"model"} | ({"gamma"} if training["scheduler"] == "none" else set())
    shown = {name: value for name, value in training.items() if name not in idle and value not in (None, "none", 0)}
    return [(setting_name(name), plain(setting_value(value))) for name, value in shown.items()]


def read_audit(file: str, study: str) -> dict | None:
    """What an audit of the data set found; None without one.

    copies: findings by kind; shortcuts: balanced accuracy by what is no picture; splits: leaks of those that it has.
    """
    if not file:
        return None
    found = json.loads(Path(file).read_text(encoding="utf-8"))
    splits = found.get("splits", [])
    shortcuts = {name: value for name, value in found.get("shortcuts", {}).items() if isinstance(value, float)}
    return {
        "copies": [(name, found[kind]) for kind, name in COPIES.items() if kind in found],
        "shortcuts": [(plain(name), number(value, "")) for name, value in shortcuts.items()],
        "strongest": max(shortcuts.items(), key=lambda each: each[1], default=None),
        "splits": [split for split in splits if isinstance(split, dict) and study in split.get("studies", [study])],
    }


def _data(images: pd.DataFrame, classes: list[str]) -> dict:
    """Counts of a split, and what of its test images part train shows, too."""
    counts = images[images["part"].isin(PARTS)].groupby(["label", "part"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=classes, columns=PARTS, fill_value=0)
    tested = images[images["part"] == "test"]
    trained = images.loc[images["part"] == "train", "cluster"]
    validated = images.loc[images["part"] == "validation", "path"]
    return {
        "rows": [
            (plain(name), *map("{:,}".format, row)) for name, row in [*counts.iterrows(), ("all", counts.sum())]
        ],
        "tied": int(tested["cluster"].isin(trained).sum()),
        "validates": bool(tested["path"].isin(validated).any()),
    }


def _groups(images: pd.DataFrame, probabilities: np.ndarray, labels: np.ndarray) -> dict:
    """Rows of the table of groups, names of those too small for it, and factors that tell no images apart."""
    table = subgroups(images, (probabilities.argmax(2) == labels).mean(0))
    groups_in = table.groupby("factor")["group"].transform("size")
    small = table["judged"] == "small"
    shown = table[(groups_in > 1) & ~small]
    return {
        "rows": [
            (
                row["factor"],
                plain(row["group"]),
                f"{row['images']:,}",
                f"{row['clusters']:,}",
                number(row["accuracy"], ""),
                span(row["low"], row["high"], ""),
                row["judged"],
            )
            for row in shown.to_dict("records")
        ],
        "worse": [f"{row['factor']} {row['group']}" for row in shown[shown["judged"] == "lower"].to_dict("records")],
        "small": [(row["factor"], row["group"], row["images"]) for row in table[small].to_dict("records")],
        "alike": table.loc[groups_in == 1, ["factor", "group"]].to_numpy().tolist(),
    }


def card(study: Study, model: str | None, tested: pd.DataFrame, shared: dict) -> tuple[str, str]:
    """The card of the cell that validation picks of a model, which there must be: the model's name, and Markdown.

    `tested`: what is known of each test image, by path.
    """
    cell = study.chosen(model)
    settings, best = study.settings, study.best.loc[cell]
    training = settings["trainings"][cell]
    rivals = study.of_model(study.best, model)
    jobs = study.jobs_of(cell)
    first = next(iter(jobs.values()))
    paths = study.paths(cell)
    probabilities, labels = study.probabilities(cell)
    mine = study.replicates[(study.replicates["cell"] == cell) & (study.replicates["checkpoint"] == "best")]
    everyone = study.replicates[study.replicates["checkpoint"] == "best"]
    backbone, images = first["backbone"], int(best["test_images"])
    accuracy = best["test_accuracy_mean"]
    low, high = proportion_confint(accuracy * images, images, 1 - CONFIDENCE, "wilson")
    wider = _wider(study, cell)
    kept = {job: study.folder / "jobs" / job / "weights.pt" for job in jobs}
    text = render(
        "card.md",
        **shared,
        study=settings,
        model=training["model"],
        cell=cell,
        called=study.described(cell),
        backbone=backbone,
        note=settings["notes"].get(training["model"], "") if backbone["sha256"] else "",
        sizes=study.network_sizes.loc[cell] if cell in study.network_sizes.index else None,
        training=_settings(training),
        mode=training["mode"],
        replicates=int(best["replicates"]),
        candidates=len(rivals),
        passed_over=int((rivals["diverged"] > 0).sum()),
        epochs=sorted({int(mine["epochs"].min()), int(mine["epochs"].max())}),
        best_epochs=sorted({int(mine["best_epoch"].min()), int(mine["best_epoch"].max())}),
        machines={
            name: list(dict.fromkeys(job["training"][name] for job in jobs.values()))
            for name in ("device", "precision", "torch")
        },
        trained={job: sha256_of(file) for job, file in kept.items() if file.exists()},
        images=images,
        deduplicated=int(best["test_images_deduplicated"]),
        scatter=span(low, high, ""),
        metrics=_measured(best, METRICS, wider),
        kinds=["95 % over seeds"] + ["over seeds and images"] * (wider is not None),
        calibration=_measured(best, CALIBRATION),
        temperature=best["temperature_mean"],
        groups=_groups(tested.loc[paths], probabilities, labels),
        balanced=best["test_recall_macro_mean"],
        stacked=first["source"] in ("features", "pixels"),
        cost=duration(mine["seconds"].sum()),
        grid_cost=duration(everyone["seconds"].sum()),
        cells=len(study.cells),
    )
    return training["model"], text


def write_model_cards(settings: dict, folder: str, inventory: str, split: str, tensors: str, audit: str = "") -> None:
    """Write `folder`/cards/<model>.md for the cell of each model that validation picks; the folder appears whole.

    `audit`: the data set's audit.json, if there is one. A model without a cell of sound replicates has none.
    """
    place = Path(folder)
    study = Study(settings, place)
    parts = read(Path(split))
    tested = parts[parts["part"] == "test"].set_index("path", drop=False)
    known = pd.read_csv(inventory, keep_default_na=False, dtype=str).set_index("path")
    pixels = np.load(tensors, mmap_mode="r")
    tested = tested[["label", "cluster"]].assign(
        **{name: known[name].reindex(tested.index) for name in ("format", "mode", "width", "height")},
        brightness=brightness(pixels, tested["row"].to_numpy()),
    )
    shared = {
        "manifest": manifest_name(settings),
        "data": _data(parts, study.classes),
        "audit": read_audit(audit, settings["study"]),
        "smallest": SMALLEST,
        "number": number,
    }
    target, temporary = place / "cards", place / ".cards"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for model in study.models:
        if study.chosen(model):
            name, text = card(study, model, tested, shared)
            (temporary / f"{name}.md").write_text(text, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
