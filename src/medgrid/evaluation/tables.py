"""Tables with means over replicates: cells and learning curves."""

import numpy as np
import pandas as pd

from medgrid.config.metrics import COMPARED, CURVES, MEASURED, TEST_COUNTS
from medgrid.evaluation.metrics import interval
from medgrid.evaluation.replicates import provenance
from medgrid.evaluation.results import StudyResults

COSTS = ("epochs", "seconds")


def cell_means(results: StudyResults, replicates: pd.DataFrame) -> pd.DataFrame:
    """The table `cells`: a row per cell and checkpoint with mean and 95 % interval of each metric, and mean costs.

    Diverged replicates count as chance in those metrics of the test set that claims can use, as they do in claims; of
    other metrics they are left out.
    """
    axes, rows = results.axes, []
    chance = {metric: results.chance(metric) for metric in COMPARED}
    for (cell, checkpoint), group in replicates.groupby(["cell", "checkpoint"], sort=False):
        finished = group["status"] == "ok"
        row = {"cell": cell, **{axis: group[axis].iloc[0] for axis in axes}, "checkpoint": checkpoint}
        row |= {"replicates": len(group), "diverged": int((~finished).sum())}
        row |= {name: group[name].iloc[0] for name in TEST_COUNTS}
        for metric in MEASURED:
            values = group[metric].where(finished, chance.get(metric, np.nan)).to_numpy(float)
            mean, low, high = interval(values, metric)
            row |= {f"{metric}_mean": mean, f"{metric}_low": low, f"{metric}_high": high}
        row |= {f"{cost}_mean": group[cost].mean() for cost in COSTS}
        rows.append(row | {name: group[name].iloc[0] for name in ("weights", "data")})
    return pd.DataFrame(rows)


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """By cell and epoch: number of seeds, and their mean, lowest and highest value of each curve.

    Seeds whose training has stopped earlier are left out of later epochs.
    """
    grouped = curves.groupby(["cell", "epoch"], sort=False)[list(CURVES)].agg(["mean", "min", "max"])
    grouped.columns = [f"{curve}_{statistic}" for curve, statistic in grouped.columns]
    grouped.insert(0, "seeds", curves.groupby(["cell", "epoch"], sort=False).size())
    return grouped.reset_index()


def curve_table(results: StudyResults) -> pd.DataFrame:
    """The table `curves`: mean learning curves with their provenance."""
    means = mean_curves(results.curves)
    stamps = {cell: provenance(results, cell) for cell in results.cells}
    return means.join(pd.DataFrame([stamps[cell] for cell in means["cell"]], index=means.index))
