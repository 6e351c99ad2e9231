"""Permutation test of the rank correlation between the sizes of networks and their results."""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

EXACT_UP_TO = 9  # networks: 362,880 permutations; of more, DRAWN are drawn at random
DRAWN = 100_000
ROUNDING = 1e-9  # correlations closer than this are equal


@dataclass(frozen=True)
class Permuted:
    """A number whose chance values are those of all permutations: one-sided tests against 0, and no interval."""

    value: float
    above: float  # share of permutations with at least this value
    below: float  # share with at most this value
    seeds: int

    def p_above(self, bound: float) -> float:
        """p-value of the one-sided test that the value is above `bound`, which is 0 or -inf; 1 for others."""
        return {0: self.above, -np.inf: 0.0}.get(bound, 1.0)

    def p_below(self, bound: float) -> float:
        """p-value of the one-sided test that the value is below `bound`, which is 0 or inf; 1 for others."""
        return {0: self.below, np.inf: 0.0}.get(bound, 1.0)

    def interval(self) -> tuple[float, float]:
        """There is none: NaN."""
        return np.nan, np.nan


def rank_correlation(sizes: np.ndarray, values: np.ndarray) -> Permuted:
    """Spearman's correlation of sizes [N] with values [N, seeds], averaged over seeds; NaN for equal sizes.

    The networks of a study are few, and the same with each seed: more seeds make their order more certain, but do not
    make it less likely by chance. So sizes are permuted over networks, and each permutation keeps the seeds together.
    Sizes may be tied. Seeds in which a network has no value are left out.
    """
    values = values[:, np.isfinite(values).all(0)]
    if len(np.unique(sizes)) < 2 or not values.shape[1]:
        return Permuted(np.nan, 1.0, 1.0, values.shape[1])
    ranks = _standardised(stats.rankdata(sizes))
    by_seed = np.apply_along_axis(_standardised, 0, stats.rankdata(values, axis=0))
    mean = by_seed.mean(1)
    chance = _permutations(ranks) @ mean
    value = float(ranks @ mean)
    above, below = np.mean(chance >= value - ROUNDING), np.mean(chance <= value + ROUNDING)
    return Permuted(value, float(above), float(below), values.shape[1])


def _standardised(ranks: np.ndarray) -> np.ndarray:
    """Centred ranks of unit length; zeros when all are equal."""
    centred = ranks - ranks.mean()
    length = np.linalg.norm(centred)
    return centred / length if length else centred


def _permutations(ranks: np.ndarray) -> np.ndarray:
    """All orders of the ranks, or many random ones of which the first is the observed one, [P, N]."""
    if len(ranks) <= EXACT_UP_TO:
        return ranks[_orders(len(ranks))]
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.broadcast_to(ranks, (DRAWN, len(ranks))), axis=1)
    return np.concatenate([ranks[None], drawn])


@cache
def _orders(count: int) -> np.ndarray:
    """All orders of the numbers below `count`, int8 [count!, count]."""
    numbers = itertools.chain.from_iterable(itertools.permutations(range(count)))
    return np.fromiter(numbers, np.int8, math.factorial(count) * count).reshape(-1, count)
