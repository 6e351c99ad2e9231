"""Summaries of a study, for the index page, DVC and `medgrid verify`."""

import json
from typing import Any

import pandas as pd

from medgrid.report.figures.style import in_percent
from medgrid.report.labelled_results import LabelledResults
from medgrid.utils.files import atomic_write

COPIED = ("study", "title", "document", "dataset", "data", "synthetic", "protocol")  # fields of the manifest
COMPARED = ("test_accuracy", "test_loss", "test_auc_macro")


def summary(study: LabelledResults, images: dict[str, Any]) -> dict[str, Any]:
    """Entry of a study on the index page; `manifest` tells whether the page shows the current settings.

    `images`: what the page reports of the images; `medgrid verdicts` writes the page again from it.
    """
    manifest, best = study.manifest, study.best_cell()
    values = {name: getattr(manifest, name) for name in COPIED}
    replicates = int(study.best["replicates"].max()) * len(manifest.jobs_of_splits)
    values |= {"cells": len(study.cells), "replicates": replicates}
    values |= {"select": manifest.select.replace("_", " "), "best": None}
    if best is not None:
        mean, low, high = in_percent(study.best_row(best))
        values |= {"best": study.label(best), "header": study.header(), "accuracy": f"{mean:.2f}"}
        values["span"] = "" if pd.isna(low) else f"{low:.2f} to {high:.2f}"
    return values | {"manifest": manifest.page_name, "images": images}


def metrics(study: LabelledResults) -> dict[str, Any]:
    """Numbers of each model's best cell by validation, as `dvc metrics` compares them."""
    values: dict[str, Any] = {"cells": len(study.cells), "diverged": int(study.best["diverged"].sum())}
    columns = [f"{name}_{statistic}" for name in COMPARED for statistic in ("mean", "low", "high")]
    for model in study.models:
        if (cell := study.best_cell(model)) is not None:
            row = study.best_row(cell)
            values[model or "best"] = {name: float(row[name]) for name in columns if pd.notna(row[name])}
    return values


def write_summaries(study: LabelledResults, images: dict[str, Any]) -> None:
    """Write summary.json and metrics.json into the study's folder."""
    for name, content in (("metrics", metrics(study)), ("summary", summary(study, images))):
        with atomic_write(study.folder / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
