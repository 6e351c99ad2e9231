"""The page that leads to every study's own."""

import json
from pathlib import Path

from medgrid.files import replacing
from medgrid.report.page import render
from medgrid.report.study import Study


def _entry(settings: dict, folder: Path) -> dict:
    study = Study(settings, folder)
    chosen = study.chosen(None)
    entry = {
        "key": settings["study"],
        "title": settings["title"],
        "document": settings["document"],
        "data": settings["data"],
        "synthetic": settings["synthetic"],
        "cells": len(study.cells),
        "replicates": int(study.best["replicates"].max()),
        "select": settings["select"].replace("_", " "),
        "best": None,
    }
    if chosen is not None:
        mean, low, high = (100 * study.best.loc[chosen, f"test_accuracy_{s}"] for s in ("mean", "low", "high"))
        entry |= {"best": study.label(chosen), "header": study.header(), "accuracy": f"{mean:.2f}"}
        entry["span"] = "" if low != low else f"{low:.2f} to {high:.2f}"  # NaN is not itself
    return entry


def write_front(settings: dict, target: str) -> None:
    """Write the HTML file `target`, which links the page of each study.

    `settings`: manifests, a list of their paths; each lies in its study's folder, beside its tables.
    """
    entries = []
    for path in map(Path, settings["manifests"]):
        entries.append(_entry(json.loads(path.read_text()), path.parent))
    page = render("front.html", studies=entries, synthetic=any(entry["synthetic"] for entry in entries))
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
