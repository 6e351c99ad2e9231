"""Expected best of k cells: what a search of k settings would have found.

Dodge et al., Show Your Work: Improved Reporting of Experimental Results, EMNLP 2019. A mean over a grid includes
settings of a model that nobody would use. Here, k of its cells are drawn at random, the one with the best validation
score is chosen, and its test metric is reported. The cells are drawn without replacement, since they are a finite
grid: with k = 1 the value is the mean of the cells, with all cells it is the mean over seeds of the cell that each
seed's validation score selects. (The paper draws with replacement, which is biased towards fewer cells: Tang et al.,
ACL 2020.)
"""

import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import rankdata

from medgrid.evaluation.contrasts import cells_of
from medgrid.evaluation.labels import describe_level
from medgrid.evaluation.results import StudyResults

COLUMNS = ("axis", "value", "k", "metric", "mean", "low", "high", "over", "cells", "replicates")


def best_probabilities(scores: np.ndarray, k: int) -> np.ndarray:
    """Probability [n] of each of n cells to have the highest of `scores` [n] among k drawn without replacement.

    Cells with equal scores are equally likely to be chosen.
    """
    highest, lowest = rankdata(scores, "max"), rankdata(scores, "min")
    chosen = _all_drawn_from(highest, len(scores), k) - _all_drawn_from(lowest - 1, len(scores), k)
    return chosen / (highest - lowest + 1)


def _all_drawn_from(subset: np.ndarray, n: int, k: int) -> np.ndarray:
    """Probability that all of k cells, drawn from n without replacement, are among `subset` cells; elementwise."""
    # logarithms, since the binomial coefficients of a thousand cells exceed the largest float
    ratio = gammaln(subset + 1) - gammaln(np.maximum(subset - k, 0) + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    return np.where(subset >= k, np.exp(ratio), 0.0)


def expected_best(results: StudyResults) -> pd.DataFrame:
    """The table `expected_best`: for each value of each axis, the study's metric of the best of k of its cells.

    Selection and test metric are of the same seed, so that each seed has its own curve; `mean`, `low` and `high`:
    mean and 95 % interval over seeds (for these test images) or splits, as `over` says. A diverged training is chosen
    last and counts as chance.
    """
    metric = results.manifest.criterion.metric
    values, scores = results.by_seed(metric), results.validation_by_seed().fillna(-np.inf)
    rows = []
    for axis in results.axes:
        for value in dict.fromkeys(results.settings[axis]):
            cells = cells_of(results, {axis: [value]})
            key = {"axis": axis, "value": describe_level(axis, value), "metric": metric}
            for k in range(1, len(cells) + 1):
                probabilities = np.column_stack(
                    [best_probabilities(column, k) for column in scores.loc[cells].to_numpy().T]
                )
                measured = results.estimate_of_trainings((probabilities * values.loc[cells].to_numpy()).sum(0))
                low, high = measured.interval()
                row = key | {"k": k, "mean": measured.value, "low": low, "high": high, "cells": len(cells)}
                rows.append(row | {"over": results.over_trainings, "replicates": measured.seeds})
    return pd.DataFrame(rows, columns=list(COLUMNS))
