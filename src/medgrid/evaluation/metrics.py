"""Metrics of one set of predictions, all from scikit-learn, and intervals over replicates, from scipy."""

import numpy as np
from scipy import stats
from sklearn.metrics import (
    cohen_kappa_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

SUMMARY = (
    "loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "kappa", "auc_macro", "auc_micro",
)  # fmt: skip
PER_CLASS = ("precision", "recall", "f1", "support", "auc")
CONFIDENCE = 0.95


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
    # float32 rows add up to 1 only nearly, which log_loss would remark on
    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    predicted, truth = probabilities.argmax(1), np.eye(count)[labels]
    confusion = confusion_matrix(labels, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    auc = np.atleast_1d(roc_auc_score(truth, probabilities, average=None))
    summary = {
        "loss": log_loss(labels, probabilities, labels=classes),
        "accuracy": float(np.trace(confusion) / confusion.sum()),
        "precision_macro": precision.mean(),
        "recall_macro": recall.mean(),
        "f1_macro": f1.mean(),
        # undefined when only one class is predicted and only that class exists; 0 is its limit otherwise
        "kappa": cohen_kappa_score(labels, predicted, labels=classes),
        "auc_macro": auc.mean(),
        "auc_micro": roc_auc_score(truth.ravel(), probabilities.ravel()),
    }
    per_class = {"precision": precision, "recall": recall, "f1": f1, "support": support, "auc": auc}
    return summary, per_class, confusion


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % t interval over seeds: training randomness only, not the sampling of test images.

    NaN (diverged) values are left out; with fewer than two the bounds are NaN.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    mean = values.mean()
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return mean, mean - half, mean + half
