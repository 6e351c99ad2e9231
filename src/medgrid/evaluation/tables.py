"""A study's tables, recomputed from its predictions alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from medgrid.config.metrics import FITTED, MEASURED, PER_CLASS, TESTED
from medgrid.data import HELD_OUT
from medgrid.evaluation.calibration import expected_calibration_error, fit_temperature, scaled
from medgrid.evaluation.metrics import accuracy, cross_entropy, evaluate, interval
from medgrid.evaluation.published import compare
from medgrid.training import CHECKPOINTS, CURVES
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

FLOATS = "%.6g"
EXACT = "%.12g"  # numbers of parameters, to the last one
COSTS = ("epochs", "seconds")


def as_text(value: Any) -> str:
    """A setting as text: a float's shortest repr reads back as the same float, six digits need not."""
    return "" if value is None else "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _weights_label(backbone: dict, notes: dict[str, str]) -> str:
    # a training from scratch starts from nothing, whatever file its model has
    note = notes[backbone["model"]] if backbone["weights"].endswith(".pth") else ""
    return f"{backbone['weights']} ({note})" if note else backbone["weights"]


def read_near_duplicates(split: str) -> pd.Series:
    """By path of each test image `yes` where part train shows the same picture, else `no`.

    Raises MedgridError where the split does not say so, as those of earlier versions.
    """
    images = pd.read_csv(split, keep_default_na=False, dtype=str)
    if "near_duplicate" not in images:
        raise MedgridError(f"{split}: no column 'near-duplicate', which is new; delete the file and run again")
    return images[images["part"] == "test"].set_index("path")["near_duplicate"]


def _deduplicated(images: np.ndarray, near_duplicates: pd.Series, job: str) -> np.ndarray:
    """Which [n] of a job's test images no training image is a near-duplicate of."""
    own = near_duplicates.reindex(images)
    if own.isna().any():
        raise MedgridError(f"job {job} tested {own.index[own.isna()][0]}, which the split does not; delete the job")
    return (own == "no").to_numpy()


def _calibrated(chosen: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> dict[str, float]:
    """What one temperature, of the validation part, makes of a replicate's test probabilities."""
    temperature = fit_temperature(chosen["validation"], labels["validation"])
    if not (np.isfinite(temperature) and np.isfinite(chosen["test"]).all()):
        return dict.fromkeys(("temperature", "test_ece_scaled", "test_loss_scaled"), np.nan)
    probabilities = scaled(chosen["test"], temperature)
    return {
        "temperature": temperature,
        "test_ece_scaled": expected_calibration_error(probabilities, labels["test"]),
        "test_loss_scaled": cross_entropy(probabilities, labels["test"]),
    }


def _rows(
    folder: Path, curves: pd.DataFrame, near_duplicates: pd.Series, provenance: dict
) -> tuple[list[dict], list[dict], list[dict]]:
    """Replicates, classes and confusion counts of one job's folder; `curves` by cell, seed and epoch."""
    predictions = np.load(folder / "predictions.npz")
    classes = predictions["classes"].tolist()
    replicates, per_class, confusion = [], [], []
    probabilities = {part: predictions[f"{part}_probabilities"] for part in HELD_OUT}
    labels = {part: predictions[f"{part}_labels"] for part in probabilities}
    epochs = {"best": predictions["best_epoch"], "last": predictions["epochs"]}
    diverged, seconds, penalty = (predictions[name] for name in ("diverged_at", "seconds", "penalty"))
    fitted = curves[list(FITTED)]
    alone = _deduplicated(predictions["test_images"], near_duplicates, folder.name)
    tested = dict(zip(TESTED, (len(alone), int(alone.sum())), strict=True))
    for i, cell in enumerate(predictions["cells"].tolist()):
        for j, seed in enumerate(predictions["seeds"].tolist()):
            for k, checkpoint in enumerate(CHECKPOINTS):
                status = f"diverged in epoch {diverged[i, j]}" if diverged[i, j] else "ok"
                key = {"cell": cell, "seed": seed, "checkpoint": checkpoint, "status": status}
                chosen = {part: values[i, j, k] for part, values in probabilities.items()}
                summary, by_class, matrix = evaluate(chosen["test"], labels["test"])
                # no such epoch: 0, where a training diverged before any was best
                place = (cell, seed, int(epochs[checkpoint][i, j]))
                known = fitted.loc[place].to_dict() if place in fitted.index else dict.fromkeys(FITTED, np.nan)
                replicates.append(
                    key
                    | {"best_epoch": place[2] if checkpoint == "best" else ""}
                    | {"epochs": int(epochs["last"][i, j]), "seconds": float(seconds[i, j])}
                    | tested
                    | {f"test_{name}": value for name, value in summary.items()}
                    | {"test_accuracy_deduplicated": accuracy(chosen["test"][alone], labels["test"][alone])}
                    | _calibrated(chosen, labels)
                    | {"test_loss_with_penalty": summary["loss"] + penalty[i, j, k]}
                    | {"validation_loss": cross_entropy(chosen["validation"], labels["validation"])}
                    | {"validation_accuracy": accuracy(chosen["validation"], labels["validation"])}
                    | known
                    | {"penalty": float(penalty[i, j, k])}
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
    """One row per cell and checkpoint: mean and 95 % interval of every metric, mean of the costs.

    Metrics are those of the seeds that did not diverge.
    """
    rows = []
    for (cell, checkpoint), group in replicates.groupby(["cell", "checkpoint"], sort=False):
        row = {"cell": cell, **{axis: group[axis].iloc[0] for axis in axes}, "checkpoint": checkpoint}
        row |= {"replicates": len(group), "diverged": int((group["status"] != "ok").sum())}
        row |= {name: group[name].iloc[0] for name in TESTED}
        for metric in MEASURED:
            # what a diverged training was before it failed is in replicates.csv
            mean, low, high = interval(group[metric].where(group["status"] == "ok").to_numpy(float), metric)
            row |= {f"{metric}_mean": mean, f"{metric}_low": low, f"{metric}_high": high}
        row |= {f"{cost}_mean": group[cost].mean() for cost in COSTS}
        rows.append(row | {name: group[name].iloc[0] for name in ("weights", "data")})
    return pd.DataFrame(rows)


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Per cell and epoch: over how many seeds, and their mean, lowest and highest value of each curve.

    Trainings that stop early leave: later epochs are the mean of those that go on.
    """
    grouped = curves.groupby(["cell", "epoch"], sort=False)[list(CURVES)].agg(["mean", "min", "max"])
    grouped.columns = [f"{curve}_{statistic}" for curve, statistic in grouped.columns]
    grouped.insert(0, "seeds", curves.groupby(["cell", "epoch"], sort=False).size())
    return grouped.reset_index()


def _write(table: pd.DataFrame, path: Path, floats: str = FLOATS) -> None:
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format=floats)


def write_tables(settings: dict, folder: str, split: str) -> None:
    """Write a study's tables into `folder`, each row stamped with its weights and data.

    `settings`: the study's, as its manifest holds them. Read are the jobs below `folder`, which may hold a cell's
    seeds apart, its `models.csv`, and of the CSV `split` which test images have a near-duplicate in part train: numbers are of
    all test images, `test_accuracy_deduplicated` is of the others. `temperature` is fitted to each replicate's validation
    part at that checkpoint; `scaled` is what it makes of the test numbers.

    Written: `cells.csv` (means and intervals), `replicates.csv` (every training), `per_class.csv`, `confusion.csv`,
    `curves.csv`, `published.csv` (ours beside what the document prints).
    """
    place, near_duplicates = Path(folder), read_near_duplicates(split)
    axes = {cell["id"]: {axis: as_text(cell[axis]) for axis in settings["axes"]} for cell in settings["cells"]}
    tables: tuple[list, list, list] = ([], [], [])
    curves, provenances = [], {}
    for job in tqdm(settings["jobs"], desc="evaluate", unit="job"):
        source = place / "jobs" / job
        backbone = json.loads((source / "job.json").read_text())["backbone"]
        provenance = {"weights": _weights_label(backbone, settings["notes"]), "data": settings["data"]}
        curves.append(pd.read_csv(source / "curves.csv"))
        by_epoch = curves[-1].set_index(["cell", "seed", "epoch"])
        for table, rows in zip(tables, _rows(source, by_epoch, near_duplicates, provenance), strict=True):
            table.extend({"cell": row["cell"], **axes[row["cell"]], **row} for row in rows)
        provenances |= dict.fromkeys(curves[-1]["cell"], provenance)
    # cells as the settings list them, whatever job each seed comes from; Python's sort keeps the rest in order
    place_of = {cell: i for i, cell in enumerate(axes)}
    for table in tables:
        table.sort(key=lambda row: (place_of[row["cell"]], row["seed"]))
    replicates, per_class, confusion = map(pd.DataFrame, tables)
    ordered = pd.concat(curves, ignore_index=True)
    ordered = ordered.iloc[np.lexsort((ordered["epoch"], ordered["seed"], ordered["cell"].map(place_of)))]
    means = mean_curves(ordered)
    stamps = pd.DataFrame([provenances[cell] for cell in means["cell"]], index=means.index)
    cells = summarise(replicates, settings["axes"])
    _write(replicates, place / "replicates.csv")
    _write(cells, place / "cells.csv")
    _write(per_class, place / "per_class.csv")
    _write(confusion, place / "confusion.csv")
    _write(means.join(stamps), place / "curves.csv")
    _write(compare(settings, cells, per_class, pd.read_csv(place / "models.csv")), place / "published.csv", EXACT)
