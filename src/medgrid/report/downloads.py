"""Tables that travel with a page."""

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
    "comparisons": "pairs of cells, on the same images and seeds",
}
ROWS = 300  # of a table that is shown as it is; the rest is in the file


def tables(folder: Path, target: Path) -> list[dict]:
    """Copy each table of `folder` into `target`; returns what the page says of them."""
    target.mkdir(parents=True)
    found = []
    there = {file.stem: file for file in sorted(folder.glob("*.csv"))}
    for name in dict.fromkeys([*ABOUT, *there]):
        if (file := there.get(name)) is None:
            continue
        shutil.copyfile(file, target / file.name)
        with file.open("rb") as lines:
            rows = sum(1 for _ in lines) - 1
        found.append(
            {
                "link": f"{target.name}/{file.name}",
                "about": ABOUT.get(name, ""),
                "rows": rows,
                "bytes": file.stat().st_size,
            }
        )
    return found


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
    columns = [{"name": name.replace("_", " "), "number": name in numbers} for name in shown]
    return {"columns": columns, "rows": texts.to_numpy().tolist(), "all": len(table)}
