"""Tables that are part of a page: as files to download, and as excerpts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from medgrid.report.labelled_results import LabelledResults

TITLES = {
    "cells": "every cell: means and 95 % intervals over replicates",
    "replicates": "every replicate: metrics, best epoch, time",
    "per_class": "every replicate and class: precision, recall, F1, AUC",
    "confusion": "every replicate: images by class and prediction",
    "curves": "every cell and epoch: mean, lowest and highest over replicates",
    "published": "published values next to ours",
    "networks": "networks: parameters and layers",
    "claims": "verdicts on the claims, and the comparisons behind them",
    "intervals": "every cell: 95 % intervals over seeds, over test images, over both",
    "splits": "every cell: means, 95 % intervals and standard deviations over random splits",
    "lookup": "every cell against the nearest-thumbnail lookup, on the same images",
    "comparisons": "pairs of settings and of cells, on the same images and seeds",
    "interactions": "pairs of settings: whether the effect of one depends on the other",
    "simple_effects": "the effect of one setting at each value of another",
    "batch_sizes": "batch sizes at equal numbers of epochs, and at equal numbers of steps",
    "improvement": "pairs of settings: the probability that one is better",
    "expected_best": "settings: expected result of the best of k cells",
    "time_to_target": "every cell: epochs and seconds until a target validation accuracy",
}
ROWS = 300  # of an excerpt; the file has all
FILTERED = ("compared", "axis", "metric", "verdict", "setting", "view")  # columns of an excerpt that get a filter


def copy_tables(folder: Path, target: Path) -> list[dict[str, Any]]:
    """Copy a study's tables, its claims and the sizes of its networks into `target`; returns what the page shows."""
    target.mkdir(parents=True)
    files = {file.stem: file for file in sorted((folder / "tables").glob("[!.]*"))}
    files["networks"] = folder / "networks" / "networks.csv"
    downloads = []
    for file in (files[name] for name in dict.fromkeys([*TITLES, *files]) if name in files):
        shutil.copyfile(file, target / file.name)
        downloads.append(
            {
                "link": f"{target.name}/{file.name}",
                "title": TITLES.get(file.stem, ""),
                "rows": _count_rows(file),
                "bytes": file.stat().st_size,
            }
        )
    return downloads


def _count_rows(file: Path) -> int:
    if file.suffix == ".json":
        return len(json.loads(file.read_text(encoding="utf-8"))["claims"])
    with file.open("rb") as lines:
        return sum(1 for _ in lines) - 1


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def excerpt(study: LabelledResults, name: str) -> dict[str, Any] | None:
    """The first rows of a table as text, numbers shortened; None for a table without rows."""
    table = study.table(name)
    if table.empty:
        return None
    shown = table.head(ROWS)
    columns = [
        {"name": column.replace("_", " "), "number": shown[column].dtype.kind in "if", "filter": column in FILTERED}
        for column in map(str, shown)
    ]
    texts = shown.apply(lambda column: column.map(_text))
    return {"columns": columns, "rows": texts.to_numpy().tolist(), "total": len(table), "file": f"{name}.csv"}
