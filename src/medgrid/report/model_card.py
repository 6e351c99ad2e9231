"""Model cards (Mitchell et al. 2019): description of a network, its intended use, its results and their limits."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from medgrid.config import Training
from medgrid.config.metrics import METRICS
from medgrid.data import PARTS
from medgrid.evaluation.labels import ABSENT, setting_name, setting_value
from medgrid.evaluation.statistics import CONFIDENCE
from medgrid.grid.manifest import StudyManifest
from medgrid.models.weights import sha256_of
from medgrid.report.labelled_results import LabelledResults
from medgrid.report.site.render import render
from medgrid.report.subgroups import SMALLEST, brightness, subgroups
from medgrid.utils.files import atomic_folder

# kinds of copies in an audit, from narrow to wide: each includes the former
COPIES = {"file": "identical files", "pixels": "identical pixels", "near_duplicate": "near-duplicates"}
IMAGE_PROPERTIES = ("format", "mode", "width", "height")  # columns of the inventory
ACCURACY = METRICS["test_accuracy"]


# text


def escape(value: Any) -> str:
    """Text that does not end a cell of a Markdown table."""
    return str(value).replace("|", r"\|")


def number(value: float, metric: str) -> str:
    """A metric's value with its unit: per cent with one digit, other values with three."""
    if pd.isna(value):
        return ABSENT
    return METRICS[metric].format(value, digits=3) + (" %" if METRICS[metric].percent else "")


def share(value: float) -> str:
    """A share in per cent."""
    return number(value, "test_accuracy")


def span(low: float, high: float, metric: str = "test_accuracy") -> str:
    return ABSENT if pd.isna(low) else f"{number(low, metric)} to {number(high, metric)}"


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves at least 1."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


# what all cards of a study share


def read_audit(file: str) -> dict[str, Any] | None:
    """Findings of the data set's audit; None without an audit.

    `copies`: a title and counts for each kind of copy; `shortcuts`: feature and balanced accuracy as text;
    `strongest`: the shortcut with the highest balanced accuracy.
    """
    if not file:
        return None
    findings = json.loads(Path(file).read_text(encoding="utf-8"))
    shortcuts = {name: value for name, value in findings.get("shortcuts", {}).items() if isinstance(value, float)}
    return {
        "copies": [(title, findings[kind]) for kind, title in COPIES.items() if kind in findings],
        "shortcuts": [(escape(name), share(value)) for name, value in shortcuts.items()],
        "strongest": max(shortcuts.items(), key=lambda item: item[1], default=None),
    }


def describe_split(images: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """Counts of images by class and part, and which test images also occur elsewhere.

    `in_training_clusters`: number of test images that share a cluster (copies, one patient) with a training image;
    `tests_validate`: whether test images are also validation images.
    """
    counts = images[images["part"].isin(PARTS)].groupby(["label", "part"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=classes, columns=PARTS, fill_value=0)
    test = images[images["part"] == "test"]
    training_clusters = images.loc[images["part"] == "train", "cluster"]
    validation_paths = images.loc[images["part"] == "validation", "path"]
    return {
        "rows": [
            (escape(name), *map("{:,}".format, row)) for name, row in [*counts.iterrows(), ("all", counts.sum())]
        ],
        "in_training_clusters": int(test["cluster"].isin(training_clusters).sum()),
        "tests_validate": bool(test["path"].isin(validation_paths).any()),
    }


def test_images(study: LabelledResults, inventory: str) -> pd.DataFrame:
    """Label, cluster, format, mode, width, height (as text) and brightness of each test image, by path."""
    test = study.labelled_images[study.labelled_images["part"] == "test"].set_index("path", drop=False)
    known = pd.read_csv(inventory, keep_default_na=False, dtype=str).set_index("path")
    return test[["label", "cluster"]].assign(
        **{name: known[name].reindex(test.index) for name in IMAGE_PROPERTIES},
        brightness=brightness(study.pixels, test["row"].to_numpy()),
    )


# one card


class Card:
    """The model card of one cell: values for the template, in the order in which it shows them."""

    def __init__(self, study: LabelledResults, cell: str, images: pd.DataFrame):
        self.study, self.cell, self.images = study, cell, images
        self.training = study.manifest.trainings[cell]
        self.best = study.best_row(cell)
        self.descriptions = {block: study.description(block) for block in study.blocks_of(cell)}
        self.replicates = study.best_replicates[study.best_replicates["cell"] == cell]

    def values(self) -> dict[str, Any]:
        """All values of the template."""
        return {
            "model": self.training.model, "cell": self.cell, "description": self.study.long_label(self.cell),
            "training": setting_rows(self.training), "mode": self.training.mode,
            "replicates": int(self.best["replicates"]), "temperature": self.best["temperature_mean"],
            "balanced_accuracy": self.best["test_recall_macro_mean"], "images": self.test_count,
            "deduplicated": int(self.best["test_images_deduplicated"]), "image_interval": self.image_interval(),
            "groups": self.groups(), "lookup": self.lookup(), "calibration": self.metric_rows("calibration"),
            **self.network(), **self.epochs(), **self.selection(), **self.performance(), **self.cost(),
        }  # fmt: skip

    @property
    def test_count(self) -> int:
        return int(self.best["test_images"])

    @cached_property
    def backbone(self) -> dict[str, Any]:
        return next(iter(self.descriptions.values()))["backbone"]

    def network(self) -> dict[str, Any]:
        """Backbone, size, trained weights and machines of the network."""
        sizes, jobs = self.study.network_sizes, self.study.folder / "jobs"
        files = {block.relative_to(jobs): block / "weights.pt" for block in self.descriptions}
        return {
            "backbone": self.backbone,
            "note": self.study.manifest.notes.get(self.training.model, "") if self.backbone["sha256"] else "",
            "sizes": sizes.loc[self.cell] if self.cell in sizes.index else None,
            "trained": {block.as_posix(): sha256_of(file) for block, file in files.items() if file.exists()},
            "machines": {
                name: list(dict.fromkeys(each["training"][name] for each in self.descriptions.values()))
                for name in ("device", "precision", "torch")
            },
        }

    def epochs(self) -> dict[str, list[int]]:
        """Lowest and highest number of epochs, and best epoch, of the replicates."""
        return {
            name: sorted({int(self.replicates[column].min()), int(self.replicates[column].max())})
            for name, column in (("epochs", "epochs"), ("best_epochs", "best_epoch"))
        }

    def selection(self) -> dict[str, int]:
        """Number of cells of this model, and of those that cannot be selected since a replicate diverged."""
        cells = self.study.best[self.study.best["cell"].map(self._model_of) == self.training.model]
        return {"candidates": len(cells), "excluded": int((cells["diverged"] > 0).sum())}

    def _model_of(self, cell: str) -> str:
        return self.study.manifest.trainings[cell].model

    def image_interval(self) -> str:
        """95 % interval of the accuracy over as many independent test images (Wilson)."""
        correct = self.best["test_accuracy_mean"] * self.test_count
        return span(*proportion_confint(correct, self.test_count, 1 - CONFIDENCE, "wilson"))

    def metric_rows(self, table: str, intervals: pd.DataFrame | None = None) -> list[tuple[str, ...]]:
        """Name, mean and interval over seeds of the metrics of one of the card's tables.

        `intervals`: a row for each metric with its interval over seeds and images, or of the mean of all splits over
        splits, which is then added.
        """
        rows = []
        for metric in METRICS.values():
            if table not in metric.cards:
                continue
            mean, low, high = (self.best[f"{metric.name}_{statistic}"] for statistic in ("mean", "low", "high"))
            row: tuple[str, ...] = metric.label, number(mean, metric.name), span(low, high, metric.name)
            if intervals is not None:
                both = intervals.reindex([metric.name]).iloc[0]
                row += (span(both["both_low"], both["both_high"], metric.name),)
            rows.append(row)
        return rows

    def lookup(self) -> str:
        """The comparison with the nearest-thumbnail lookup, as a sentence; empty without one."""
        rows = self.study.table("lookup")
        rows = rows[rows["cell"] == self.cell]
        if rows.empty:
            return ""
        row = rows.iloc[0]
        side, ends = ("below", ["high", "low"]) if row["difference"] < 0 else ("above", ["low", "high"])
        points = 100 * row[["difference", *ends]].astype(float) * (-1 if side == "below" else 1)
        value, low, high = (f"{number:.1f}" for number in points)
        bounds = "" if pd.isna(row["low"]) else f" ({low} to {high}, over seeds and test images)"
        metric, verdict = METRICS[row["metric"]].label, row["verdict"]
        return f"The network's {metric} is {value} points {side} the lookup{bounds}: {verdict}."

    def performance(self) -> dict[str, Any]:
        intervals = self.study.table("intervals")
        intervals = intervals[intervals["cell"] == self.cell].set_index("metric")
        splits = self.study.manifest.other_splits
        return {
            "metrics": self.metric_rows("performance", intervals),
            "interval_headings": ["95 % over seeds", f"over {'splits' if splits else 'seeds and images'}"],
        }

    def groups(self) -> dict[str, Any]:
        """Rows of the table of subgroups, names of those too small for it, and factors that do not vary."""
        probabilities, labels = self.study.predictions(self.cell)
        images = self.images.loc[self.study.images("test")]
        table = subgroups(images, (probabilities.argmax(2) == labels).mean(0))
        groups_in = table.groupby("factor")["group"].transform("size")
        small = table["verdict"] == "small"
        shown = table[(groups_in > 1) & ~small]
        worse = shown[shown["verdict"] == "lower"]
        return {
            "rows": [subgroup_row(row) for row in shown.to_dict("records")],
            "worse": [f"{row['factor']} {row['group']}" for row in worse.to_dict("records")],
            "small": [(row["factor"], row["group"], row["images"]) for row in table[small].to_dict("records")],
            "constant": table.loc[groups_in == 1, ["factor", "group"]].to_numpy().tolist(),
        }

    def cost(self) -> dict[str, Any]:
        """Training time of this cell and of all cells."""
        source = next(iter(self.descriptions.values()))["source"]
        return {
            "stacked": source in ("features", "pixels"),
            "cost": duration(self.replicates["seconds"].sum()),
            "grid_cost": duration(self.study.best_replicates["seconds"].sum()),
            "cells": len(self.study.cells),
        }


def setting_rows(training: Training) -> list[tuple[str, str]]:
    """A training's settings, without those that are off."""
    idle = {"model"} | ({"gamma"} if training.scheduler == "none" else set())
    settings = {name: value for name, value in training.model_dump().items() if name not in idle}
    return [
        (setting_name(name), escape(setting_value(value)))
        for name, value in settings.items()
        if value not in (None, "none", 0)
    ]


def subgroup_row(row: dict[Any, Any]) -> tuple[str, ...]:
    """A row of `subgroups` as text."""
    counts = f"{row['images']:,}", f"{row['clusters']:,}"
    return (
        row["factor"], escape(row["group"]), *counts, share(row["accuracy"]), span(row["low"], row["high"]),
        row["verdict"],
    )  # fmt: skip


def write_model_cards(
    manifest: StudyManifest, folder: str, inventory: str, split: str, tensors: str, audit: str = ""
) -> None:
    """Write `folder`/cards/<model>.md for the best cell of each model by validation; the folder appears whole.

    `audit`: the data set's audit.json, if there is one. A model without a selectable cell has no card.
    """
    study = LabelledResults(manifest, Path(folder), Path(split), Path(tensors))
    images = test_images(study, inventory)
    shared = {
        "study": manifest,
        "data": describe_split(study.labelled_images, study.classes),
        "leakage": json.loads((study.folder / "leakage.json").read_text(encoding="utf-8")),
        "audit": read_audit(audit),
        "smallest_group": SMALLEST,
        "share": share,
    }
    with atomic_folder(study.folder / "cards") as target:
        for model in study.models:
            if (cell := study.best_cell(model)) is not None:
                card = Card(study, cell, images)
                text = render("card.md", **shared, **card.values())
                (target / f"{card.training.model}.md").write_text(text, encoding="utf-8")
