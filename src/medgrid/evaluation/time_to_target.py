"""Epochs and seconds until a training first reaches a target validation accuracy.

After MLPerf (Mattson et al., MLPerf training benchmark, MLSys 2020), but with a target relative to the study. The
first epoch counts, not one from which on accuracy stays above the target: noisy curves reach it sooner.
"""

import numpy as np
import pandas as pd

from medgrid.evaluation.results import StudyResults

# Of the way from naming one class for all images to the best cell: near the top, but within reach of several cells
SHARE = 0.95
NOT_REACHED = "not reached"
COLUMNS = (
    "cell", "target", "replicates", "reached", "epochs_median", "epochs_lowest", "epochs_highest", "seconds_median",
)  # fmt: skip


def target_accuracy(results: StudyResults) -> float | None:
    """Validation accuracy that counts as reached; None when no cell is better than naming one class for all images.

    It is SHARE of the way from the share of the largest class to the best cell's median over seeds of the highest
    validation accuracy of a training; of two middle seeds, the lower one counts. So more than half of that cell's
    trainings reach it. It needs no choice per study, and a lucky seed or a cell that does not learn changes it
    little. The share of the largest class is that of the validation images of the (first) split.
    """
    labels = results.labels("validation")
    chance = np.unique(labels, return_counts=True)[1].max() / len(labels)
    highest = results.of_curves(lambda curves: curves["validation_accuracy"].max()).fillna(chance)
    best = highest.quantile(0.5, axis=1, interpolation="lower").max()
    return float(chance + SHARE * (best - chance)) if best > chance else None


def first_epoch(curves: pd.DataFrame, target: float) -> float:
    """First epoch of a training whose validation accuracy is the target or higher; infinity when there is none."""
    reached = curves.loc[curves["validation_accuracy"] >= target, "epoch"]
    return float(reached.iloc[0]) if len(reached) else np.inf


def time_to_target(results: StudyResults) -> pd.DataFrame:
    """The table `time_to_target`: epochs, and seconds of training, until each cell reaches `target_accuracy`.

    Median, lowest and highest over trainings; one that does not reach the target, or diverged, counts as longer than
    any other, and where that is the result, the table says "not reached". `reached` counts trainings that do.
    Seconds do not include the features of a frozen backbone, and are empty for cells that were trained in a stack
    with others.
    """
    target = target_accuracy(results)
    if target is None:
        return pd.DataFrame(columns=list(COLUMNS))
    epochs = results.of_curves(lambda curves: first_epoch(curves, target)).fillna(np.inf)
    seconds = (epochs * results.seconds_per_epoch).where(np.isfinite(epochs), np.inf)
    rows = []
    for cell in results.cells:
        own_time = cell not in results.manifest.stacked
        rows.append({
            "cell": cell,
            "target": target,
            "replicates": epochs.shape[1],
            "reached": int(np.isfinite(epochs.loc[cell]).sum()),
            **{f"epochs_{name}": _text(value) for name, value in _range(epochs.loc[cell].to_numpy()).items()},
            "seconds_median": _text(round(float(np.median(seconds.loc[cell])), 3)) if own_time else "",
        })  # fmt: skip
    return pd.DataFrame(rows)


def _range(values: np.ndarray) -> dict[str, float]:
    return {"median": float(np.median(values)), "lowest": float(values.min()), "highest": float(values.max())}


def _text(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else NOT_REACHED
