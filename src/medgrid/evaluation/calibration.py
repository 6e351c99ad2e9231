"""Expected calibration error and temperature scaling.

Guo et al., On calibration of modern neural networks, ICML 2017.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from medgrid.evaluation.contributions import SMALLEST_PROBABILITY

BINS = 15  # as Guo et al.
# The loss of a validation part without errors is lowest at temperature 0, that of one worse than chance at infinity.
# Float32 probabilities have logits of at most 87; a temperature of 100 reduces these to less than 0.9.
TEMPERATURES = (0.05, 100.0)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, mean confidence and accuracy of each bin, lowest confidence first: arrays [at most BINS].

    `probabilities` [n, C], finite; `labels` [n]. Confidence is the highest probability. Bins hold equal numbers of
    images, not equal widths of confidence as in Guo et al.: trained networks are so confident that most bins of equal
    width would be nearly empty, and the estimate is less biased (Roelofs et al., Mitigating bias in calibration error
    estimation, AISTATS 2022). Images of the same confidence share a bin; empty bins are left out.
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    edges = np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(edges, confidence)
    images = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, values, minlength=BINS)[images > 0] for values in (confidence, correct)]
    images = images[images > 0]
    return images, sums[0] / images, sums[1] / images


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean over images of the absolute difference between confidence and accuracy of their bin, 0 to 1.

    By chance, a calibrated network also has an error above 0, and a larger one with fewer images. See `reliability`.
    """
    images, confidence, accuracy = reliability(probabilities, labels)
    return float(np.average(np.abs(confidence - accuracy), weights=images))


def _log(probabilities: np.ndarray) -> np.ndarray:
    # logits up to a constant for each image; float64, so that division keeps their order
    return np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1), dtype=np.float64)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature, within TEMPERATURES, at which probabilities [n, C] have the lowest cross-entropy.

    A network with a temperature above 1 is overconfident, one below 1 underconfident. The loss is convex in 1/T, so
    any local minimum is global. NaN for a diverged training.
    """
    if not np.isfinite(probabilities).all():
        return np.nan
    logits, images = _log(probabilities), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[images, labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [n, C] with logits divided by a temperature; the most probable class stays the same."""
    return softmax(_log(probabilities) / temperature, axis=1)
