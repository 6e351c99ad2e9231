"""What the front page, DVC and `medgrid verify` read of a study."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from medgrid.grid.versions import manifest_name
from medgrid.report.study import Study
from medgrid.utils.files import atomic_write


def summary(study: Study) -> dict:
    """What the front page says of a study; names the manifest, so that a page of other settings is known as such."""
    settings, chosen = study.settings, study.chosen(None)
    found = {name: settings[name] for name in ("study", "title", "document", "dataset", "data", "synthetic")}
    found |= {"protocol": settings["protocol"]}
    found |= {"cells": len(study.cells), "replicates": int(study.best["replicates"].max())}
    found |= {"select": settings["select"].replace("_", " "), "best": None}
    if chosen is not None:
        mean, low, high = (100 * study.best.loc[chosen, f"test_accuracy_{s}"] for s in ("mean", "low", "high"))
        found |= {"best": study.label(chosen), "header": study.header(), "accuracy": f"{mean:.2f}"}
        found["span"] = "" if np.isnan(low) else f"{low:.2f} to {high:.2f}"
    return found | {"manifest": manifest_name(settings)}


def metrics(study: Study) -> dict:
    """Numbers of the cell of each model that validation picks, as `dvc metrics` compares them."""
    found: dict = {"cells": len(study.cells), "diverged": int(study.best["diverged"].sum())}
    for model in study.models or [None]:
        if (cell := study.chosen(model)) is not None:
            row = study.best.loc[cell]
            names = [
                f"{name}_{s}"
                for name in ("test_accuracy", "test_loss", "test_auc_macro")
                for s in ("mean", "low", "high")
            ]
            found[model or "best"] = {name: float(row[name]) for name in names if pd.notna(row[name])}
    return found


def write_summaries(study: Study, folder: Path) -> None:
    """Write `folder`/summary.json and `folder`/metrics.json."""
    for name, content in (("metrics", metrics(study)), ("summary", summary(study))):
        with atomic_write(folder / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
