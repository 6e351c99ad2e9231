"""Calibration: whether a network is right as often as it is sure, and the one temperature that mends it.

Guo et al., On calibration of modern neural networks, ICML 2017.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15  # as Guo et al.
SMALLEST = np.finfo(np.float32).tiny  # what a float32 probability of 0 is taken for, in a logarithm
# a validation part without an error has its best at 0, one worse than chance at infinity; of the largest logits that
# float32 probabilities can have, 87, a temperature of 100 leaves 0.9
TEMPERATURES = (0.05, 100.0)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, mean confidence and accuracy of each bin, lowest confidence first: arrays [at most BINS].

    `probabilities` [n, C], finite; `labels` [n]. Confidence is the highest probability. Bins hold equal numbers of
    images rather than equal widths of confidence (Guo et al.): trained networks are so sure that most bins of equal
    width would hold next to nothing, and the estimate is less biased (Roelofs et al., Mitigating bias in calibration
    error estimation, AISTATS 2022). Images of the same confidence share a bin; bins without an image are left out.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    edges = np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1])
    place = np.searchsorted(edges, confidence)
    images = np.bincount(place, minlength=BINS)
    sums = [np.bincount(place, values, minlength=BINS)[images > 0] for values in (confidence, right)]
    images = images[images > 0]
    return images, sums[0] / images, sums[1] / images


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean over images of the gap between confidence and accuracy in their bin (see `reliability`), 0 to 1.

    It is above 0 for a calibrated network, too: by chance, the more the fewer images.
    """
    images, confidence, accuracy = reliability(probabilities, labels)
    return float(np.average(np.abs(confidence - accuracy), weights=images))


def _logs(probabilities: np.ndarray) -> np.ndarray:
    # logits up to a constant for each image; float64, so that no order is lost in a division
    return np.log(np.clip(probabilities, SMALLEST, 1), dtype=np.float64)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature, within TEMPERATURES, at which probabilities [n, C] have the lowest cross-entropy.

    Above 1 the network is too sure, below 1 not sure enough. The loss is convex in 1/T, so a minimum is the minimum.
    NaN for a diverged training.
    """
    if not np.isfinite(probabilities).all():
        return np.nan
    logs, images = _logs(probabilities), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logs / np.exp(log_temperature), axis=1)[images, labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [n, C] with their logits divided by a temperature; the likeliest class stays."""
    return softmax(_logs(probabilities) / temperature, axis=1)
