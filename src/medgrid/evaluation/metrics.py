"""Metrics of one set of predictions, from scikit-learn, and intervals over replicates, from scipy."""

import numpy as np
from scipy import stats
from sklearn.metrics import (
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from medgrid.config.metrics import PER_CLASS, SUMMARY, possible
from medgrid.evaluation.calibration import SMALLEST, expected_calibration_error

CONFIDENCE = 0.95


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log of the true class's probability, NaN for a diverged training.

    Not scikit-learn's log_loss, which takes any probability below 2e-16 for 2e-16: heads trained at high rates are
    surer than that, and their losses would look better than they are.
    """
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(own, SMALLEST, 1), dtype=np.float64).mean())


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose likeliest class is the true one, NaN for a diverged training and of no images."""
    usable = len(labels) and np.isfinite(probabilities).all()
    return float((probabilities.argmax(1) == labels).mean()) if usable else np.nan


def evaluate(probabilities: np.ndarray, labels: np.ndarray) -> tuple[dict, dict[str, np.ndarray], np.ndarray]:
    """Metrics of probabilities [n, C] against class numbers [n].

    Returns the summary (names in SUMMARY), per-class values (names in PER_CLASS, arrays [C]) and the confusion
    matrix [C true, C predicted]. A diverged training (probabilities not finite) gives NaN throughout and an
    empty confusion matrix.
    """
    count = probabilities.shape[1]
    classes = np.arange(count)
    if not np.isfinite(probabilities).all():
        missing = np.full(count, np.nan)
        return (
            dict.fromkeys(SUMMARY, np.nan),
            dict.fromkeys(PER_CLASS, missing),
            np.zeros((count, count), int),
        )
    predicted, truth = probabilities.argmax(1), np.eye(count)[labels]
    confusion = confusion_matrix(labels, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    auc = np.atleast_1d(roc_auc_score(truth, probabilities, average=None))
    summary = {
        "loss": cross_entropy(probabilities, labels),
        "accuracy": accuracy(probabilities, labels),
        "precision_macro": precision.mean(),
        "recall_macro": recall.mean(),
        "f1_macro": f1.mean(),
        # undefined when only one class is predicted and only that class exists; 0 is its limit otherwise
        "kappa": cohen_kappa_score(labels, predicted, labels=classes),
        "auc_macro": auc.mean(),
        "auc_micro": roc_auc_score(truth.ravel(), probabilities.ravel()),
        "ece": expected_calibration_error(probabilities, labels),
        "brier": brier_score_loss(labels, probabilities, labels=classes),
    }
    per_class = {"precision": precision, "recall": recall, "f1": f1, "support": support, "auc": auc}
    return summary, per_class, confusion


def interval(values: np.ndarray, metric: str) -> tuple[float, float, float]:
    """Mean and 95 % t interval over seeds: training randomness only, not the sampling of test images.

    Bounds end where the metric does (see `possible`): the interval of two scattered seeds would go far beyond 100 %.
    NaN (diverged) values are left out; with fewer than two the bounds are NaN.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    mean = values.mean()
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    lowest, highest = possible(metric)
    return mean, max(mean - half, lowest), min(mean + half, highest)
