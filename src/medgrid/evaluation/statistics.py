"""Intervals and p-values of numbers measured with a few seeds on a few test images.

Two things are random: training (its seed) and which images are in the test set. An interval over seeds says how the
number would vary if the study were trained again and tested on the same images; one over images, if the same
networks were tested on other images of the same kind; one over both, if everything were repeated. Differences between
cells are paired: the same seeds, the same images.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2  # of each one-sided test: what lies outside an interval on one side
POWER = 0.8  # probability with which the number of replicates that `Region.needed` names settles a claim
MOST_REPLICATES = 200  # that `Region.needed` names
# Test clusters unlike the others, below which the spread over images is unreliable, and how many pseudo-observations
# are then added
FEW_CLUSTERS, PSEUDO_OBSERVATIONS = 5, 4
DIGITS = 12  # decimals; smaller differences are rounding errors


@dataclass(frozen=True)
class Estimate:
    """A number with its standard errors; NaN where an error is unknown (one seed) or does not apply."""

    value: float
    seed_error: float
    image_error: float
    shared_error: float  # of the interaction of seeds and images, which is part of both other errors
    seeds: int
    clusters: int  # of test images; 0 when the estimate is for these test images only

    def times(self, factor: float) -> "Estimate":
        """The estimate of `factor` (1 or -1) times the number."""
        return replace(self, value=factor * self.value)

    @property
    def error(self) -> float:
        """Standard error over seeds and images."""
        seed, image, shared = self._variances()
        # at least as large as either alone, whatever the estimate of the interaction
        return float(np.sqrt(max(seed + image - shared, seed, image)))

    def _variances(self) -> tuple[float, float, float]:
        image, shared = np.nan_to_num([self.image_error, self.shared_error]) ** 2
        return self.seed_error**2, float(image), float(shared)

    @cached_property
    def degrees_of_freedom(self) -> float:
        """Of `error` (Satterthwaite 1946)."""
        seed, image, _ = self._variances()
        if seed + image == 0 or not np.isfinite(seed):
            return max(self.seeds - 1, 1)
        return self.error**4 / (seed**2 / (self.seeds - 1) + image**2 / max(self.clusters - 1, 1))

    def _t_interval(self, error: float, degrees_of_freedom: float) -> tuple[float, float]:
        if not np.isfinite(error):
            return np.nan, np.nan
        half = float(stats.t.isf(LEVEL, degrees_of_freedom)) * error
        return self.value - half, self.value + half

    def over_seeds(self) -> tuple[float, float]:
        """95 % t interval for other seeds and the same test images."""
        return self._t_interval(self.seed_error, self.seeds - 1)

    def over_images(self) -> tuple[float, float]:
        """95 % t interval for other test images and the same networks."""
        return self._t_interval(self.image_error, self.clusters - 1)

    def interval(self) -> tuple[float, float]:
        """95 % t interval for other seeds and other test images (where these apply)."""
        return self._t_interval(self.error, self.degrees_of_freedom)

    def p_above(self, bound: float) -> float:
        """p-value of the one-sided test that the value is above `bound`; 1 when the error is unknown."""
        if not np.isfinite(self.error):
            return 1.0
        if self.error == 0:
            return float(self.value <= bound)
        return float(stats.t.sf((self.value - bound) / self.error, self.degrees_of_freedom))

    def p_below(self, bound: float) -> float:
        """p-value of the one-sided test that the value is below `bound`."""
        return replace(self, value=-self.value).p_above(-bound)


def estimate(values: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """Mean and its errors, from one value per seed [S], or from one per seed and test image [S, n].

    `clusters` [n]: cluster ids of the images (copies, images of one patient). With one value per seed, the estimate
    is for these test images only. Seeds with NaN are left out. Errors over both come from a two-way analysis of
    variance with random effects: seeds, images, and their interaction. Without `clusters`, images are independent.

    Two cells that agree on each of a few images need not agree on all others. When fewer than FEW_CLUSTERS clusters
    differ from the others, the error over images includes PSEUDO_OBSERVATIONS pseudo-observations (as Agresti and
    Coull 1998 add four to a proportion).
    """
    values = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
    seeds = len(values)
    by_seed = values.mean(axis=tuple(range(1, values.ndim)))
    value = _rounded(by_seed.mean()) if seeds else np.nan
    seed_error = _rounded(stats.sem(by_seed)) if seeds > 1 else np.nan
    if values.ndim == 1 or not seeds:
        return Estimate(value, seed_error, np.nan, np.nan, seeds, 0)
    if clusters is None:
        clusters = np.arange(values.shape[1])
    image_error, shared_error, count = _image_errors(values, by_seed, clusters)
    return Estimate(value, seed_error, _rounded(image_error), _rounded(shared_error), seeds, count)


def _image_errors(values: np.ndarray, by_seed: np.ndarray, clusters: np.ndarray) -> tuple[float, float, int]:
    """Standard errors over images and of the interaction with seeds, for values [S, n]; number of clusters."""
    indices = np.unique(clusters, return_inverse=True)[1]
    count, seeds, size = indices.max() + 1, len(values), values.size
    # images of a cluster vary together: the sums over clusters are independent
    residuals = values - by_seed[:, None]
    sums = np.stack([np.bincount(indices, weights=row, minlength=count) for row in residuals])
    correction = count / (count - 1) if count > 1 else np.nan
    image_error = np.sqrt(correction * np.square(sums.sum(0)).sum()) / size
    means = np.bincount(indices, weights=values.mean(0), minlength=count) / np.bincount(indices)
    if np.count_nonzero(np.abs(means - np.median(means)) > 10**-DIGITS) < FEW_CLUSTERS:
        image_error = np.hypot(image_error, np.sqrt(PSEUDO_OBSERVATIONS) / count)
    interaction = sums - sums.mean(0)
    shared_error = (
        np.sqrt(correction * seeds / (seeds - 1) * np.square(interaction).sum()) / size if seeds > 1 else np.nan
    )
    return image_error, shared_error, count


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


@dataclass(frozen=True)
class Region:
    """The values with which a claim holds, and those that contradict it.

    A claim is contradicted when its value is significantly below `floor` or above `ceiling`, and otherwise supported
    when it is significantly between `low` and `high`. Values between `floor` and `low`, or between `high` and
    `ceiling`, differ by an amount that does not matter in practice: they neither support nor contradict the claim.
    """

    low: float = -np.inf
    high: float = np.inf
    floor: float = -np.inf
    ceiling: float = np.inf

    @classmethod
    def above(cls, bound: float = 0.0, margin: float = 0.0) -> "Region":
        """Above a bound; contradicted when the value is significantly below `bound` plus `margin`."""
        return cls(low=bound, floor=bound + margin)

    @classmethod
    def below(cls, bound: float) -> "Region":
        """Below a bound; contradicted when the value is significantly above it."""
        return cls(high=bound, ceiling=bound)

    @classmethod
    def about(cls, value: float, margin: float) -> "Region":
        """Equal up to the margin: two one-sided tests (Schuirmann 1987)."""
        return cls(value - margin, value + margin, value - margin, value + margin)

    def p_for(self, measured: Estimate) -> float:
        """p-value of the test that the claim holds: small when it is supported."""
        if not np.isfinite(measured.value):
            return 1.0
        return max(measured.p_above(self.low), measured.p_below(self.high))

    def p_against(self, measured: Estimate) -> float:
        """p-value of the test that the claim does not hold by an amount that matters: small when contradicted."""
        if not np.isfinite(measured.value):
            return 1.0
        return min(measured.p_below(self.floor), measured.p_above(self.ceiling))

    def needed(self, measured: Estimate) -> int | None:
        """Number of replicates needed to decide the claim, if the value and its errors are as estimated.

        With this number, the claim is supported or contradicted with a probability of at least POWER. None if
        MOST_REPLICATES are not enough: then more test images may be needed, or the value is close to a bound.
        """
        if not np.isfinite(measured.error):
            return None
        # more seeds reduce the interaction of seeds and images, but not the error of the images themselves
        counts = np.arange(max(2, measured.seeds + 1), MOST_REPLICATES + 1)
        seed, image, shared = measured._variances()
        seed, image = seed * measured.seeds / counts, max(image - shared, 0.0)
        error = np.sqrt(seed + image)
        if (error == 0).any():
            return None
        freedom = (seed + image) ** 2 / (seed**2 / (counts - 1) + image**2 / max(measured.clusters - 1, 1))
        critical = stats.t.isf(LEVEL, freedom)

        def power(distance: float) -> np.ndarray:
            """Probability that the interval excludes a bound at this distance."""
            if distance == np.inf:
                return np.ones(len(counts))
            return stats.nct.sf(critical, freedom, max(distance, 0) / error)

        supported = power(measured.value - self.low) + power(self.high - measured.value) - 1
        contradicted = np.maximum(power(self.floor - measured.value), power(measured.value - self.ceiling))
        sufficient = counts[np.nan_to_num(np.maximum(supported, contradicted)) >= POWER]
        return int(sufficient[0]) if len(sufficient) else None
