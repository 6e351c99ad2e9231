"""Tables with the numbers of each training: replicates, classes, confusion counts."""

from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from medgrid.config.metrics import MEASURED, METRICS, PER_CLASS, TEST_COUNTS
from medgrid.evaluation.calibration import fit_temperature, scaled
from medgrid.evaluation.metrics import Predicted, confusion, measure
from medgrid.evaluation.results import Replicate, StudyResults
from medgrid.training.predictions import CHECKPOINTS


def setting_text(value: Any) -> str:
    """A setting as text: the shortest form that reads back as the same number."""
    return "" if value is None else "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def provenance(results: StudyResults, cell: str) -> dict[str, str]:
    """Columns that say what a cell's trainings started from and which data they used."""
    backbone = results.description(results.blocks_of(cell)[0])["backbone"]
    # training from scratch uses no file, whatever weights its model has
    note = results.manifest.notes[backbone["model"]] if backbone["weights"].endswith(".pth") else ""
    weights = f"{backbone['weights']} ({note})" if note else backbone["weights"]
    return {"weights": weights, "data": results.manifest.data}


def _parts(results: StudyResults, replicate: Replicate, checkpoint: str) -> tuple[dict[str, Predicted], float]:
    """Predictions that metrics are computed from, by part, and the temperature fitted to the validation part.

    The temperature is NaN when the validation or test probabilities are not finite.
    """
    validation, test = (
        Predicted(replicate.probabilities(part, checkpoint), results.labels(part)) for part in ("validation", "test")
    )
    temperature = fit_temperature(validation.probabilities, validation.labels) if test.usable else np.nan
    kept = results.deduplicated
    return {
        "validation": validation,
        "test": test,
        "test_scaled": Predicted(scaled(test.probabilities, temperature), test.labels),
        "test_deduplicated": Predicted(test.probabilities[kept], test.labels[kept]),
    }, temperature


def _of_training(results: StudyResults, replicate: Replicate, checkpoint: str) -> dict[str, float]:
    """Metrics of the training itself at a checkpoint's epoch; NaN when there is no such epoch."""
    curve = results.curve(replicate.cell, replicate.seed)
    rows = curve[curve["epoch"] == replicate.epoch(checkpoint)]
    values = {name: rows[name].iloc[0] if len(rows) else np.nan for name in ("train_loss", "train_accuracy")}
    return values | {"penalty": replicate.penalty(checkpoint)}


def _key(results: StudyResults, replicate: Replicate, checkpoint: str) -> dict[str, Any]:
    """First columns of each table."""
    values = results.axis_values.loc[replicate.cell]
    status = f"diverged in epoch {replicate.diverged_at}" if replicate.diverged_at else "ok"
    return {
        "cell": replicate.cell,
        **{axis: setting_text(values[axis]) for axis in results.axes},
        "seed": replicate.seed,
        "checkpoint": checkpoint,
        "status": status,
    }


def _replicate_row(
    results: StudyResults, replicate: Replicate, checkpoint: str, parts: dict[str, Predicted], temperature: float
) -> dict[str, Any]:
    values = {name: measure(name, parts[METRICS[name].part]) for name in MEASURED if METRICS[name].function}
    values |= {"temperature": temperature} | _of_training(results, replicate, checkpoint)
    # penalties are float32, and so is the sum
    values["test_loss_with_penalty"] = float(np.float32(values["test_loss"]) + np.float32(values["penalty"]))
    return {
        "best_epoch": replicate.epoch("best") if checkpoint == "best" else "",
        "epochs": replicate.epoch("last"),
        "seconds": replicate.seconds,
        **dict(zip(TEST_COUNTS, (len(results.deduplicated), int(results.deduplicated.sum())), strict=True)),
        **{name: values[name] for name in MEASURED},
    }


def replicate_tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """The tables `replicates`, `per_class` and `confusion`: rows by cell, seed, checkpoint (best epoch, last epoch).

    Test numbers are of all test images, `test_accuracy_deduplicated` is of those without a near-duplicate in the
    training part. `temperature` is fitted to the validation part at the same checkpoint; metrics with `scaled` in
    their name are of the test part after scaling with it.
    """
    replicates, per_class, counts = [], [], []
    stamps = {cell: provenance(results, cell) for cell in results.cells}
    for replicate in tqdm(results.replicates.values(), desc="evaluate", unit="training"):
        stamp = stamps[replicate.cell]
        for checkpoint in CHECKPOINTS:
            key = _key(results, replicate, checkpoint)
            parts, temperature = _parts(results, replicate, checkpoint)
            replicates.append(key | _replicate_row(results, replicate, checkpoint, parts, temperature) | stamp)
            by_class = {name: np.asarray(measure(name, parts[METRICS[name].part])) for name in PER_CLASS}
            matrix = confusion(parts["test"])
            for c, name in enumerate(results.manifest.classes):
                values = {metric: array[c] for metric, array in by_class.items()}
                per_class.append(key | {"class": name} | values | stamp)
                for p, predicted in enumerate(results.manifest.classes):
                    counts.append(key | {"class": name, "predicted": predicted, "images": int(matrix[c, p])} | stamp)
    return {
        name: pd.DataFrame(rows)
        for name, rows in (("replicates", replicates), ("per_class", per_class), ("confusion", counts))
    }
