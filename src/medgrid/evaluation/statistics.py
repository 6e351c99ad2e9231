"""How sure a number is that was measured on some seeds and some test images.

Two things are random: training (its seed) and which images happen to be in the test set. An interval over seeds says
how the number would scatter if the study were trained again and tested on the same images; one over images, if the
same networks were tested on other images of the same kind; one over both, if everything were done again. Differences
between cells are paired: the same seeds, the same images.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2  # of each one-sided test: what lies outside of an interval, on one side
POWER = 0.8  # how surely as many replicates as we ask for would settle a question
MOST = 200  # replicates that are worth naming
FEW = 5  # test images unlike the others, below which their scatter says little
DIGITS = 12  # behind the point; what is smaller is rounding


def per_image(metric: str, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each image contributes to a metric: values [..., n] whose mean over images is the metric.

    `probabilities` [..., n, C] against class numbers [n]; `metric`: accuracy, recall_macro, auc_macro or loss. For
    the area under the ROC curve these are DeLong's placements (DeLong et al. 1988, Sun and Xu 2014), averaged over
    classes against the rest. A diverged training (not finite) counts as chance: what is broken knows nothing.
    """
    *leading, images, classes = probabilities.shape
    broken = ~np.isfinite(probabilities).all((-1, -2))
    usable = np.where(broken[..., None, None], 1 / classes, probabilities)
    if metric == "loss":
        own = np.take_along_axis(usable, np.broadcast_to(labels, (*leading, images))[..., None], -1)[..., 0]
        return -np.log(np.clip(own, np.finfo(np.float32).tiny, 1), dtype=np.float64)
    if metric in ("accuracy", "recall_macro"):
        right = (usable.argmax(-1) == labels).astype(float)
        right[broken] = 1 / classes
        if metric == "accuracy":
            return right
        return _of_classes(right, labels)
    return np.mean([_placements(usable[..., c], labels == c) for c in range(classes)], axis=0)


def _of_classes(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Values [..., n] whose mean is the mean of the classes' recalls; how many images a class has is not chance."""
    present, counts = np.unique(labels, return_counts=True)
    values = np.empty(right.shape)
    recalls = [right[..., labels == label].mean(-1, keepdims=True) for label in present]
    for label, count, recall in zip(present, counts, recalls, strict=True):
        own = labels == label
        values[..., own] = (right[..., own] - recall) * right.shape[-1] / (len(present) * count)
    return values + np.mean(recalls, axis=0)


def _placements(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Per image, values [..., n] whose mean is the area under the ROC curve of `scores` [..., n]."""
    images, counts = len(positive), np.array([np.count_nonzero(~positive), np.count_nonzero(positive)])
    if not counts.all():
        return np.full(scores.shape, np.nan)
    among_all = stats.rankdata(scores, axis=-1)
    values = np.empty(scores.shape)
    for side in (0, 1):
        own = positive == side
        # how many of the other side lie below; a tie is half
        below = (among_all[..., own] - stats.rankdata(scores[..., own], axis=-1)) / counts[1 - side]
        values[..., own] = below if side else 1 - below
    area = values[..., positive].mean(-1, keepdims=True)
    return area + (values - area) * images / counts[positive.astype(int)]


@dataclass(frozen=True)
class Estimate:
    """A number with its standard errors; NaN where one cannot be told (one seed) or does not apply."""

    value: float
    seed_error: float
    image_error: float
    shared_error: float  # what seeds do to single images: a part of both
    seeds: int
    units: int  # clusters of test images, which are drawn as a whole

    @property
    def error(self) -> float:
        """Standard error over both."""
        seed, image, shared = self._variances()
        # no better than either alone, whatever the estimate of what they share
        return float(np.sqrt(max(seed + image - shared, seed, image)))

    def _variances(self) -> tuple[float, float, float]:
        image, shared = np.nan_to_num([self.image_error, self.shared_error]) ** 2
        return self.seed_error**2, float(image), float(shared)

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of `error` (Satterthwaite 1946)."""
        seed, image, _ = self._variances()
        if seed + image == 0 or not np.isfinite(seed):
            return max(self.seeds - 1, 1)
        return self.error**4 / (seed**2 / (self.seeds - 1) + image**2 / max(self.units - 1, 1))

    def _around(self, error: float, freedom: float) -> tuple[float, float]:
        if not np.isfinite(error):
            return np.nan, np.nan
        half = stats.t.isf(LEVEL, freedom) * error
        return self.value - half, self.value + half

    def over_seeds(self) -> tuple[float, float]:
        """95 % t interval for other seeds and the same test images."""
        return self._around(self.seed_error, self.seeds - 1)

    def over_images(self) -> tuple[float, float]:
        """95 % t interval for other test images and the same networks."""
        return self._around(self.image_error, self.units - 1)

    def interval(self) -> tuple[float, float]:
        """95 % t interval for other seeds and other test images (where these apply)."""
        return self._around(self.error, self.freedom)

    def beyond(self, bound: float) -> float:
        """One-sided p-value against the value being at most `bound`; 1 where that cannot be told."""
        if not np.isfinite(self.error):
            return 1.0
        if self.error == 0:
            return float(self.value <= bound)
        return float(stats.t.sf((self.value - bound) / self.error, self.freedom))

    def below(self, bound: float) -> float:
        """One-sided p-value against the value being at least `bound`."""
        return replace(self, value=-self.value).beyond(-bound)


def estimate(values: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """Mean and its errors, of one value per seed [S], or of one per seed and test image [S, n].

    `clusters` [n]: numbers of the clusters that images were drawn in (copies, patients). With one value per seed, the
    estimate is of these images only. NaN seeds are left out. Errors over both come from a two-way analysis of
    variance with random effects: seeds, images, and what a seed does to an image.

    That two cells agree on every one of a few images does not say that they would on all others: where fewer than FEW
    clusters are unlike the others, the error over images is that of four more such (as Agresti and Coull 1998 add
    four observations to a proportion).
    """
    values = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
    seeds = len(values)
    by_seed = values.mean(axis=tuple(range(1, values.ndim)))
    value = _rounded(by_seed.mean()) if seeds else np.nan
    seed_error = _rounded(stats.sem(by_seed)) if seeds > 1 else np.nan
    if values.ndim == 1 or not seeds:
        return Estimate(value, seed_error, np.nan, np.nan, seeds, 0)
    numbers = np.unique(clusters, return_inverse=True)[1]
    units, size = numbers.max() + 1, values.size
    # a cluster's images err together: its sums are what scatters independently
    rest = values - by_seed[:, None]
    sums = np.stack([np.bincount(numbers, weights=row, minlength=units) for row in rest])
    more = units / (units - 1) if units > 1 else np.nan
    image_error = np.sqrt(more * np.square(sums.sum(0)).sum()) / size
    whole = np.bincount(numbers, weights=values.mean(0), minlength=units) / np.bincount(numbers)
    if np.count_nonzero(np.abs(whole - np.median(whole)) > 10**-DIGITS) < FEW:
        image_error = np.hypot(image_error, 2 / units)
    apart = sums - sums.mean(0)
    shared_error = np.sqrt(more * seeds / (seeds - 1) * np.square(apart).sum()) / size if seeds > 1 else np.nan
    return Estimate(value, seed_error, _rounded(image_error), _rounded(shared_error), seeds, units)


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


@dataclass(frozen=True)
class Region:
    """What a value must be for a claim to hold, and from where on it contradicts the claim.

    Contradicted: surely below `floor` or above `ceiling`. Supported: else, surely between `low` and `high`. Between
    these and the former lie differences that do not matter in practice, with which a claim is neither true nor false.
    """

    low: float = -np.inf
    high: float = np.inf
    floor: float = -np.inf
    ceiling: float = np.inf

    @classmethod
    def above(cls, bound: float = 0.0, margin: float = 0.0) -> "Region":
        """Above a bound; contradicted when it surely is not above it by the margin."""
        return cls(low=bound, floor=bound + margin)

    @classmethod
    def below(cls, bound: float) -> "Region":
        return cls(high=bound, ceiling=bound)

    @classmethod
    def about(cls, value: float, margin: float) -> "Region":
        """Equal up to the margin: two one-sided tests (Schuirmann 1987)."""
        return cls(value - margin, value + margin, value - margin, value + margin)

    def p_for(self, found: Estimate) -> float:
        """p-value of the claim being false: small where it is supported."""
        return max(found.beyond(self.low), found.below(self.high)) if np.isfinite(found.value) else 1.0

    def p_against(self, found: Estimate) -> float:
        """p-value of the claim being true in a way that matters: small where it is contradicted."""
        return min(found.below(self.floor), found.beyond(self.ceiling)) if np.isfinite(found.value) else 1.0

    def needed(self, found: Estimate) -> int | None:
        """Replicates that would settle the claim, if the value and its scatter are what they seem.

        Settle: either way, with a probability of at least POWER. None where up to MOST would not: more test images
        could, or the value lies on the border.
        """
        if not np.isfinite(found.error):
            return None
        # with more seeds, what these do to single images shrinks, and what images do by themselves does not
        counts = np.arange(max(2, found.seeds + 1), MOST + 1)
        seed, image, shared = found._variances()
        seed, image = seed * found.seeds / counts, max(image - shared, 0.0)
        error = np.sqrt(seed + image)
        if (error == 0).any():
            return None
        freedom = (seed + image) ** 2 / (seed**2 / (counts - 1) + image**2 / max(found.units - 1, 1))
        critical = stats.t.isf(LEVEL, freedom)

        def surely(distance: float) -> np.ndarray:
            """Probability that the interval ends before a bound at this distance."""
            if distance == np.inf:
                return np.ones(len(counts))
            return stats.nct.sf(critical, freedom, max(distance, 0) / error)

        supported = surely(found.value - self.low) + surely(self.high - found.value) - 1
        contradicted = np.maximum(surely(self.floor - found.value), surely(found.value - self.ceiling))
        random_calibrated = counts[np.nan_to_num(np.maximum(supported, contradicted)) >= POWER]
        return int(random_calibrated[0]) if len(random_calibrated) else None
