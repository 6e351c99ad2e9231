"""A study's tables, recomputed from its predictions alone."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from medgrid.data import HELD_OUT
from medgrid.evaluation.metrics import PER_CLASS, SUMMARY, accuracy, cross_entropy, evaluate, interval
from medgrid.files import replacing
from medgrid.training import CHECKPOINTS, CURVES

FLOATS = "%.6g"


def _weights_label(backbone: dict, notes: dict[str, str]) -> str:
    note = notes[backbone["model"]]
    return f"{backbone['weights']} ({note})" if note else backbone["weights"]


def _rows(folder: Path, provenance: dict) -> tuple[list[dict], list[dict], list[dict]]:
    """Replicates, classes and confusion counts of one pack's folder."""
    predictions = np.load(folder / "predictions.npz")
    classes = predictions["classes"].tolist()
    replicates, per_class, confusion = [], [], []
    probabilities = {part: predictions[f"{part}_probabilities"] for part in HELD_OUT}
    labels = {part: predictions[f"{part}_labels"] for part in probabilities}
    for i, cell in enumerate(predictions["cells"].tolist()):
        for j, seed in enumerate(predictions["seeds"].tolist()):
            diverged, best = int(predictions["diverged_at"][i, j]), int(predictions["best_epoch"][i, j])
            for k, checkpoint in enumerate(CHECKPOINTS):
                key = {"cell": cell, "seed": seed, "checkpoint": checkpoint}
                chosen = {part: values[i, j, k] for part, values in probabilities.items()}
                summary, by_class, matrix = evaluate(chosen["test"], labels["test"])
                validation = {
                    "loss": cross_entropy(chosen["validation"], labels["validation"]),
                    "accuracy": accuracy(chosen["validation"], labels["validation"]),
                }
                replicates.append(
                    key
                    | {"status": f"diverged in epoch {diverged}" if diverged else "ok"}
                    | ({"best_epoch": best} if checkpoint == "best" else {"best_epoch": ""})
                    | {f"test_{name}": value for name, value in summary.items()}
                    | {f"validation_{name}": value for name, value in validation.items()}
                    | provenance
                )
                for c, name in enumerate(classes):
                    values = {metric: by_class[metric][c] for metric in PER_CLASS}
                    per_class.append(key | {"class": name} | values | provenance)
                    for p, predicted in enumerate(classes):
                        count = {"class": name, "predicted": predicted, "images": int(matrix[c, p])}
                        confusion.append(key | count | provenance)
    return replicates, per_class, confusion


def summarise(replicates: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """One row per cell and checkpoint: mean and 95 % interval over seeds of every test metric."""
    metrics = [f"test_{name}" for name in SUMMARY] + ["validation_loss", "validation_accuracy"]
    rows = []
    for (cell, checkpoint), group in replicates.groupby(["cell", "checkpoint"], sort=False):
        row = {"cell": cell, **{axis: group[axis].iloc[0] for axis in axes}, "checkpoint": checkpoint}
        row |= {"replicates": len(group), "diverged": int((group["status"] != "ok").sum())}
        for metric in metrics:
            mean, low, high = interval(group[metric].to_numpy(float))
            row |= {f"{metric}_mean": mean, f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row | {name: group[name].iloc[0] for name in ("weights", "data")})
    return pd.DataFrame(rows)


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Per cell and epoch: mean, lowest and highest over seeds of each curve."""
    grouped = curves.groupby(["cell", "epoch"], sort=False)[list(CURVES)].agg(["mean", "min", "max"])
    grouped.columns = [f"{curve}_{statistic}" for curve, statistic in grouped.columns]
    return grouped.reset_index()


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format=FLOATS)


def write_tables(settings: dict, folder: str) -> None:
    """Write a study's tables into `folder`, each row stamped with its weights and data.

    `settings`: cells (id and axes), axes, packs (folder names), data (label), notes (on each model's weights).
    Written: `cells.csv` (means and intervals), `replicates.csv` (every training), `per_class.csv`, `confusion.csv`,
    `curves.csv`.
    """
    place = Path(folder)
    # settings as text: a float's shortest repr reads back as the same float, six digits need not
    axes = {cell["id"]: {axis: str(cell[axis]) for axis in settings["axes"]} for cell in settings["cells"]}
    tables: tuple[list, list, list] = ([], [], [])
    curves = []
    for pack in tqdm(settings["packs"], desc="evaluate", unit="pack"):
        source = place / "packs" / pack
        backbone = json.loads((source / "pack.json").read_text())["backbone"]
        provenance = {"weights": _weights_label(backbone, settings["notes"]), "data": settings["data"]}
        for table, rows in zip(tables, _rows(source, provenance), strict=True):
            table.extend({"cell": row["cell"], **axes[row["cell"]], **row} for row in rows)
        curves.append(mean_curves(pd.read_csv(source / "curves.csv")).assign(**provenance))
    replicates, per_class, confusion = map(pd.DataFrame, tables)
    _write(replicates, place / "replicates.csv")
    _write(summarise(replicates, settings["axes"]), place / "cells.csv")
    _write(per_class, place / "per_class.csv")
    _write(confusion, place / "confusion.csv")
    _write(pd.concat(curves), place / "curves.csv")
