"""Probability of improvement: how often one setting is better than another, not by how much.

Bouthillier et al., Accounting for variance in machine learning benchmarks, MLSys 2021; Agarwal et al., Deep
reinforcement learning at the edge of the statistical precipice, NeurIPS 2021 (rliable).
"""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from medgrid.evaluation.contrasts import by_axes, cells_of
from medgrid.evaluation.labels import describe_level
from medgrid.evaluation.resampling import SPLITS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import DIGITS, LEVEL

COLUMNS = ("axis", "first", "second", "metric", "probability", "low", "high", "over", "settings", "replicates")


def share_better(differences: np.ndarray) -> np.ndarray:
    """Share of settings where the first is better, by replicate, of `differences` [settings, n]; ties count half."""
    return np.where(np.abs(differences) < 10**-DIGITS, 0.5, differences > 0).mean(0)


def exact_interval(share: np.ndarray, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a probability, after Clopper and Pearson (1934), for a share of independent `trials`.

    The mean of several settings varies less over replicates than a single outcome with the same probability, so the
    interval is too wide rather than too narrow where a replicate has several settings.
    """
    better, worse = share * trials, (1 - share) * trials
    low = np.where(better > 0, stats.beta.ppf(LEVEL, better, worse + 1), 0.0)
    return low, np.where(worse > 0, stats.beta.isf(LEVEL, better + 1, worse), 1.0)


def improvement(results: StudyResults) -> pd.DataFrame:
    """The table `improvement`: for each pair of values of each axis, the probability that the first is better.

    Both are compared with the same seed (or split) at each setting of the other axes that both have (`settings`). The
    probability is that of a random seed at a random setting of these, on these test images; with several splits, that
    of another random split of these images. Its interval counts replicates, not settings. Given the images, splits
    are independent, as seeds are.
    """
    metric = results.manifest.criterion.metric
    values, rows = results.by_replicate(metric), []
    for axis in results.axes:
        levels = list(dict.fromkeys(results.settings[axis]))
        others = [name for name in results.axes if name != axis]
        groups = [by_axes(results, cells_of(results, {axis: [level]}), others) for level in levels]
        means = [{key: values.loc[cells].mean().to_numpy() for key, cells in group.items()} for group in groups]
        for (i, first), (j, second) in itertools.combinations(enumerate(levels), 2):
            shared = [key for key in means[i] if key in means[j]]
            if shared:
                shares = share_better(np.stack([means[i][key] - means[j][key] for key in shared]))
                names = {"first": describe_level(axis, first), "second": describe_level(axis, second)}
                rows.append({"axis": axis, **names, "probability": shares.mean(), "settings": len(shared)})
    table = pd.DataFrame(rows, columns=["axis", "first", "second", "probability", "settings"])
    replicates = values.shape[1]
    low, high = exact_interval(table["probability"].to_numpy(float), replicates)
    over = "splits of these images" if results.over == SPLITS else "seeds"
    table = table.assign(metric=metric, low=low, high=high, over=over, replicates=replicates)
    return table[list(COLUMNS)]
