"""Table of batch sizes, compared after equally many epochs and after equally many optimizer steps."""

import numpy as np
import pandas as pd

from medgrid.config.training import steps_per_epoch
from medgrid.evaluation.labels import describe_settings
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import estimate

# columns, also of a table without rows
BATCH_SIZES = (
    "setting", "view", "batch_size", "epoch", "steps", "validation_accuracy", "low", "high", "difference",
    "difference_low", "difference_high", "replicates",
)  # fmt: skip


def batch_sizes(results: StudyResults) -> pd.DataFrame:
    """Validation accuracy of each batch size after equally many epochs, and after equally many steps.

    In the same number of epochs a small batch takes more optimizer steps: an apparent effect of the batch size may be
    one of the number of steps. For each group of cells that differ in batch size alone: `view` (epochs or steps), the
    epoch compared, steps until then, mean and 95 % interval over seeds, and the difference from the smallest batch
    size with its interval, paired by seed. Numbers of steps are equal up to a part of an epoch.
    """
    if "batch_size" not in results.axes:
        return pd.DataFrame(columns=BATCH_SIZES)
    last_epochs = results.curves.groupby("cell")["epoch"].max()
    rows = []
    for setting, cells in _groups(results):
        steps = {size: steps_per_epoch(results.training_images, size) for size in cells}
        fewest = min(last_epochs[cell] * steps[size] for size, cell in cells.items())
        shared_epoch = min(last_epochs[cell] for cell in cells.values())
        views = {
            "epochs": dict.fromkeys(cells, shared_epoch),
            "steps": {size: max(1, fewest // steps[size]) for size in cells},
        }
        for view, epochs in views.items():
            for row in _rows(results, cells, epochs):
                rows.append(
                    {"setting": setting, "view": view, "steps": row["epoch"] * steps[row["batch_size"]]} | row
                )
    return pd.DataFrame(rows, columns=list(BATCH_SIZES))


def _groups(results: StudyResults) -> list[tuple[str, dict[int, str]]]:
    """Groups of cells that differ in batch size alone: the other settings in words, and cells by batch size."""
    others = [axis for axis in results.axes if axis != "batch_size"]
    groups: dict[tuple, dict[int, str]] = {}
    for cell in results.cells:
        settings = results.settings.loc[cell]
        groups.setdefault(tuple(settings[others]), {})[int(settings["batch_size"])] = cell
    return [
        (describe_settings(dict(zip(others, values, strict=True))), dict(sorted(cells.items())))
        for values, cells in groups.items()
        if len(cells) > 1
    ]


def _rows(results: StudyResults, cells: dict[int, str], epochs: dict[int, int]) -> list[dict]:
    """Rows of one group in one view; `cells` and `epochs` by batch size, the smallest first."""
    rows, smallest = [], None
    for size, cell in cells.items():
        values = np.array([_accuracy_after(results, cell, seed, epochs[size]) for seed in results.seeds])
        mean = estimate(values)
        low, high = np.clip(mean.over_seeds(), 0, 1)
        row = {"batch_size": size, "epoch": epochs[size], "validation_accuracy": mean.value, "low": low, "high": high}
        if smallest is None:
            smallest = values
        else:
            apart = estimate(values - smallest)
            low, high = apart.over_seeds()
            row |= {"difference": apart.value, "difference_low": low, "difference_high": high}
        rows.append(row | {"replicates": mean.seeds})
    return rows


def _accuracy_after(results: StudyResults, cell: str, seed: int, epoch: int) -> float:
    """Validation accuracy after an epoch, or after the last one when training stopped earlier; NaN if it diverged."""
    if results.diverged.loc[cell, seed]:
        return np.nan
    curve = results.curve(cell, seed)
    values = curve.loc[curve["epoch"] <= epoch, "validation_accuracy"]
    return float(values.iloc[-1]) if len(values) else np.nan
