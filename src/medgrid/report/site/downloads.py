"""Tables that travel with a page."""

import json
import shutil
from pathlib import Path

import pandas as pd

from medgrid.report.study import read

ABOUT = {
    "cells": "every cell: means and 95 % intervals over replicates",
    "replicates": "every replicate: metrics, best epoch, time",
    "per_class": "every replicate and class: precision, recall, F1, AUC",
    "confusion": "every replicate: images by class and prediction",
    "curves": "every cell and epoch: mean, lowest and highest over replicates",
    "published": "what the document prints, beside ours",
    "models": "networks: parameters and layers",
    "claims": "verdicts, and every comparison behind them",
    "intervals": "every cell: 95 % intervals over seeds, over test images, over both",
    "comparisons": "pairs of settings and of cells, on the same images and seeds",
    "interactions": "pairs of settings: whether the effect of one depends on the other",
    "simple_effects": "the effect of one setting at each value of another",
    "batch_sizes": "batch sizes after equally many epochs, and after equally many steps",
}
ROWS = 300  # of a table that is shown as it is; the rest is in the file
CHOSEN = ("compared", "metric", "verdict", "setting", "view")  # columns by whose values a reader chooses rows


def tables(folder: Path, target: Path) -> list[dict]:
    """Copy each table of `folder`, and its claims, into `target`; returns what the page says of them."""
    target.mkdir(parents=True)
    found = []
    there = {file.stem: file for file in sorted([*folder.glob("*.csv"), *folder.glob("claims.json")])}
    for name in dict.fromkeys([*ABOUT, *there]):
        if (file := there.get(name)) is None:
            continue
        shutil.copyfile(file, target / file.name)
        found.append(
            {
                "link": f"{target.name}/{file.name}",
                "about": ABOUT.get(name, ""),
                "rows": _rows(file),
                "bytes": file.stat().st_size,
            }
        )
    return found


def _rows(file: Path) -> int:
    if file.suffix == ".json":
        return len(json.loads(file.read_text(encoding="utf-8"))["claims"])
    with file.open("rb") as lines:
        return sum(1 for _ in lines) - 1


def _text(value) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_it_is(file: Path) -> dict | None:
    """A table's first rows as text, numbers short; none where there is no such file or no row in it."""
    if not file.exists() or (table := read(file)).empty:
        return None
    shown = table.head(ROWS)
    numbers = [name for name in shown if shown[name].dtype.kind in "if"]
    texts = shown.apply(lambda column: column.map(_text))
    columns = [
        {"name": name.replace("_", " "), "number": name in numbers, "chosen": name in CHOSEN} for name in shown
    ]
    return {"columns": columns, "rows": texts.to_numpy().tolist(), "all": len(table), "file": file.name}
