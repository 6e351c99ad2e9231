"""Probability of improvement: how often one setting is better than another, not by how much.

Bouthillier et al., Accounting for variance in machine learning benchmarks, MLSys 2021; Agarwal et al., Deep
reinforcement learning at the edge of the statistical precipice, NeurIPS 2021 (rliable).
"""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from medgrid.evaluation.contrasts import matched_cells, mean_of
from medgrid.evaluation.labels import describe_level
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import DIGITS, LEVEL

COLUMNS = (
    "axis", "first", "second", "metric", "probability", "low", "high", "over", "settings", "replicates",
)  # fmt: skip


def share_better(differences: np.ndarray) -> np.ndarray:
    """Share of settings where the first is better, by replicate, of `differences` [settings, n]; ties count half."""
    return np.where(np.abs(differences) < 10**-DIGITS, 0.5, differences > 0).mean(0)


def exact_interval(share: float, trials: float) -> tuple[float, float]:
    """95 % interval of a probability, after Clopper and Pearson (1934), for a share of independent `trials`.

    The mean of several settings varies less over replicates than a single outcome with the same probability, so the
    interval is too wide rather than too narrow where a replicate has several settings.
    """
    better, worse = share * trials, (1 - share) * trials
    low = stats.beta.ppf(LEVEL, better, worse + 1) if better > 0 else 0.0
    high = stats.beta.isf(LEVEL, better + 1, worse) if worse > 0 else 1.0
    return float(low), float(high)


def improvement(results: StudyResults) -> pd.DataFrame:
    """The table `improvement`: for each pair of values of each axis, the probability that the first is better.

    Both are compared with the same seed (or split) at each setting of the other axes that both have (`settings`). The
    probability is that of a random seed at a random setting of these. Its interval counts replicates, not settings:
    replicates are independent. Splits are not, since they share images; they count as
    1 / (1 / splits + n_test / n_train) independent ones (`medgrid.evaluation.resampling`).
    """
    metric, rows = results.manifest.criterion.metric, []
    for axis in results.axes:
        for first, second in itertools.combinations(dict.fromkeys(results.settings[axis]), 2):
            pairs = matched_cells(results, {axis: [first]}, {axis: [second]})
            if not pairs:
                continue
            weights = [mean_of(one).sub(mean_of(other), fill_value=0) for one, other in pairs]
            by_replicate = share_better(np.stack([results.values_of(each, metric) for each in weights]))
            share = float(by_replicate.mean())
            low, high = exact_interval(share, results.independent_replicates)
            rows.append({
                "axis": axis, "first": describe_level(axis, first), "second": describe_level(axis, second),
                "metric": metric, "probability": share, "low": low, "high": high, "over": results.over_trainings,
                "settings": len(pairs), "replicates": len(by_replicate),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
