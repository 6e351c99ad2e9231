"""Intervals and p-values of numbers measured with a few seeds on a few test images.

Two things are random: training (its seed) and which images are in the test set. An interval over seeds says how the
number would vary if the study were trained again and tested on the same images; one over images, if the same
networks were tested on other images of the same kind; one over both, if the networks were trained again on the same
training images and tested on other ones. Differences between cells are paired: the same seeds, the same images.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2  # of each one-sided test: what lies outside an interval on one side
# Clusters of test images in which a number differs from its mean, below which the spread over images is unreliable,
# and how many pseudo-observations are added (compare Agresti and Coull 1998)
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
    # effective number of clusters of test images, if of equal size; 0 when the estimate is for these test images only
    clusters: float

    def times(self, factor: float) -> "Estimate":
        """The estimate of `factor` (1 or -1) times the number."""
        return replace(self, value=factor * self.value)

    @property
    def error(self) -> float:
        """Standard error over seeds and images."""
        seed, image, shared = self.variances()
        # at least as large as either alone, whatever the estimate of the interaction
        return float(np.sqrt(max(seed + image - shared, seed, image)))

    def variances(self) -> tuple[float, float, float]:
        """Squared standard errors: of seeds, of images, and of their interaction, which is part of both others."""
        image, shared = np.nan_to_num([self.image_error, self.shared_error]) ** 2
        return self.seed_error**2, float(image), float(shared)

    @cached_property
    def degrees_of_freedom(self) -> float:
        """Of `error` (Satterthwaite 1946)."""
        seed, image, _ = self.variances()
        if seed + image == 0 or not np.isfinite(seed):
            return max(self.seeds - 1, 1)
        return self.error**4 / (seed**2 / (self.seeds - 1) + image**2 / max(self.clusters - 1, 1))

    def _t_interval(self, error: float, degrees_of_freedom: float, level: float = LEVEL) -> tuple[float, float]:
        if not error > 0:  # unknown, or no scatter
            return np.nan, np.nan
        half = float(stats.t.isf(level, degrees_of_freedom)) * error
        return self.value - half, self.value + half

    def over_seeds(self) -> tuple[float, float]:
        """95 % t interval for other seeds and the same test images."""
        return self._t_interval(self.seed_error, self.seeds - 1)

    def over_images(self) -> tuple[float, float]:
        """95 % t interval for other test images and the same networks."""
        return self._t_interval(self.image_error, self.clusters - 1)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """t interval for other seeds and other test images (where these apply), 95 % unless `level` is another.

        `level`: the probability of each side that is left out.
        """
        return self._t_interval(self.error, self.degrees_of_freedom, level)

    def predicted(self, runs: int = 1, images: float = 1.0) -> tuple[float, float]:
        """95 % prediction interval of the mean of other trainings, tested on other images of the same kind.

        `runs`: number of these trainings; `images`: how many of our test images there are to each of theirs. Contains
        the scatter of their trainings and of ours, and both samples of test images (where images apply).
        """
        seed, image, shared = self.variances()
        # the variance of one training contains its interaction with the images
        seed *= 1 + self.seeds / runs
        image = max(image - shared, 0.0) * (1 + images)
        if not seed + image > 0:
            return np.nan, np.nan
        freedom = (seed + image) ** 2 / (seed**2 / (self.seeds - 1) + image**2 / max(self.clusters - 1, 1))
        return self._t_interval(float(np.sqrt(seed + image)), freedom)

    def p_above(self, bound: float) -> float:
        """p-value of the one-sided test that the value is above `bound`.

        1 when the error is unknown, or zero: replicates that do not vary say nothing about others.
        """
        if not self.error > 0:
            return 1.0
        return float(stats.t.sf((self.value - bound) / self.error, self.degrees_of_freedom))

    def p_below(self, bound: float) -> float:
        """p-value of the one-sided test that the value is below `bound`."""
        return replace(self, value=-self.value).p_above(-bound)


def estimate(values: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """Mean and its errors, from one value per seed [S], or from one per seed and test image [S, n].

    `clusters` [n]: cluster ids of the images (copies, images of one patient). With one value per seed, the estimate
    is for these test images only. Seeds with NaN are left out. Errors over both come from a two-way analysis of
    variance with random effects: seeds, images, and their interaction. Without `clusters`, images are independent.

    Two cells that agree on each of a few images need not agree on all others, and if they differ on few images, the
    scatter over images is uncertain. Therefore, the variance over images includes PSEUDO_OBSERVATIONS
    pseudo-observations besides the clusters that it effectively comes from: of their own size, or at least of 1 where
    these are fewer than FEW_CLUSTERS. Its degrees of freedom are those of as many equal clusters as the sizes of the
    clusters are worth, (sum of sizes)^2 / (sum of squared sizes), less one.
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
    image_error, shared_error, effective = _image_errors(values, by_seed, clusters)
    return Estimate(value, seed_error, _rounded(image_error), _rounded(shared_error), seeds, float(effective))


def _image_errors(values: np.ndarray, by_seed: np.ndarray, clusters: np.ndarray) -> tuple[float, float, float]:
    """Standard errors over images and of their interaction with seeds, of values [S, n]; effective clusters."""
    indices = np.unique(clusters, return_inverse=True)[1]
    count, seeds, size = indices.max() + 1, len(values), values.size
    # images of a cluster vary together: the sums over clusters are independent
    residuals = values - by_seed[:, None]
    sums = np.stack([np.bincount(indices, weights=row, minlength=count) for row in residuals])
    correction = count / (count - 1) if count > 1 else np.nan
    squares, sizes = np.square(sums.sum(0)), np.bincount(indices)
    variance = correction * squares.sum() / size**2
    # as many equal deviations would have this kurtosis
    effective = squares.sum() ** 2 / np.square(squares).sum() if variance > 10 ** -(2 * DIGITS) else 0.0
    more = PSEUDO_OBSERVATIONS / count**2 if effective < FEW_CLUSTERS else 0.0
    variance = max(variance * (1 + PSEUDO_OBSERVATIONS / max(effective, 1)), variance + more)
    interaction = sums - sums.mean(0)
    shared_error = (
        np.sqrt(correction * seeds / (seeds - 1) * np.square(interaction).sum()) / size if seeds > 1 else np.nan
    )
    # a few large clusters say little about others
    return np.sqrt(variance), shared_error, sizes.sum() ** 2 / np.square(sizes).sum()


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
