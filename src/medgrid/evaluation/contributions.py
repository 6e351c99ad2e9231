"""Contributions of single test images to a metric, for intervals that account for the choice of test images."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from medgrid.config.metrics import METRICS

SMALLEST_PROBABILITY = np.finfo(np.float32).tiny  # replaces a float32 probability of 0 in a logarithm

# By function of the metric. Arguments: probabilities [..., n, C], class numbers [n], and which trainings diverged
# [...], whose probabilities are all 1 / C. Returned are values [..., n] whose mean over images is the metric.
CONTRIBUTIONS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {}


def contributes(function: str) -> Callable:
    """Register the contributions of images to the metrics of this function."""

    def register(of_images: Callable) -> Callable:
        CONTRIBUTIONS[function] = of_images
        return of_images

    return register


def contributions(metric: str, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Values [..., n] of n images whose mean over images is the metric.

    `metric`: one of `medgrid.config.metrics.COMPARED`. `probabilities` [..., n, C] against class numbers [n]. A
    diverged training (probabilities not finite) counts as chance: each class has the same probability.
    """
    classes = probabilities.shape[-1]
    diverged = ~np.all(np.isfinite(probabilities), (-1, -2))
    usable = np.where(diverged[..., None, None], 1 / classes, probabilities)
    return CONTRIBUTIONS[METRICS[metric].function](usable, labels, diverged)


@contributes("loss")
def _loss(probabilities: np.ndarray, labels: np.ndarray, diverged: np.ndarray) -> np.ndarray:
    index = np.broadcast_to(labels, probabilities.shape[:-1])[..., None]
    true_class = np.take_along_axis(probabilities, index, -1)[..., 0]
    return -np.log(np.clip(true_class, SMALLEST_PROBABILITY, 1), dtype=np.float64)


@contributes("accuracy")
def _accuracy(probabilities: np.ndarray, labels: np.ndarray, diverged: np.ndarray) -> np.ndarray:
    correct = (probabilities.argmax(-1) == labels).astype(float)
    correct[diverged] = 1 / probabilities.shape[-1]
    return correct


@contributes("recall_macro")
def _recall_macro(probabilities: np.ndarray, labels: np.ndarray, diverged: np.ndarray) -> np.ndarray:
    # the numbers of images of the classes count as given, not as random
    correct = _accuracy(probabilities, labels, diverged)
    present, counts = np.unique(labels, return_counts=True)
    values = np.empty(correct.shape)
    recalls = [correct[..., labels == label].mean(-1, keepdims=True) for label in present]
    for label, count, recall in zip(present, counts, recalls, strict=True):
        of_class = labels == label
        values[..., of_class] = (correct[..., of_class] - recall) * correct.shape[-1] / (len(present) * count)
    return values + np.mean(recalls, axis=0)


@contributes("auc_macro")
def _auc_macro(probabilities: np.ndarray, labels: np.ndarray, diverged: np.ndarray) -> np.ndarray:
    """DeLong's placements (DeLong et al. 1988, Sun and Xu 2014), averaged over classes against the rest."""
    classes = range(probabilities.shape[-1])
    return np.mean([_placements(probabilities[..., c], labels == c) for c in classes], axis=0)


def _placements(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Values [..., n] of n images whose mean is the area under the ROC curve of `scores` [..., n]."""
    images, counts = len(positive), np.array([np.count_nonzero(~positive), np.count_nonzero(positive)])
    if not counts.all():
        return np.full(scores.shape, np.nan)
    ranks = stats.rankdata(scores, axis=-1)
    values = np.empty(scores.shape)
    for side in (0, 1):
        members = positive == side
        # share of the other side with a lower score; a tie counts half
        below = (ranks[..., members] - stats.rankdata(scores[..., members], axis=-1)) / counts[1 - side]
        values[..., members] = below if side else 1 - below
    area = values[..., positive].mean(-1, keepdims=True)
    return area + (values - area) * images / counts[positive.astype(int)]
