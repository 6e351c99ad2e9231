"""Metrics of predictions, from scikit-learn, and intervals over replicates, from scipy.

Each function is registered under the name that rows of `medgrid.config.metrics` give as `function`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats
from sklearn.metrics import (
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from medgrid.config.metrics import METRICS
from medgrid.evaluation.calibration import expected_calibration_error
from medgrid.evaluation.contributions import SMALLEST_PROBABILITY
from medgrid.evaluation.statistics import CONFIDENCE


@dataclass(frozen=True)
class Predicted:
    """Probabilities [n, C] of n images and their class numbers [n], with what several metrics share."""

    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def usable(self) -> bool:
        """Whether there are images and all probabilities are finite, which those of a diverged training are not."""
        return bool(len(self.labels) and np.isfinite(self.probabilities).all())

    @cached_property
    def classes(self) -> np.ndarray:
        return np.arange(self.probabilities.shape[1])

    @cached_property
    def classified_as(self) -> np.ndarray:
        """Most probable class [n]."""
        return self.probabilities.argmax(1)

    @cached_property
    def one_hot(self) -> np.ndarray:
        """True class [n, C]: 1, other classes: 0."""
        return np.eye(len(self.classes))[self.labels]

    @cached_property
    def by_class(self) -> dict[str, np.ndarray]:
        """Precision, recall, F1 and number of images (support), [C] each."""
        values = precision_recall_fscore_support(
            self.labels, self.classified_as, labels=self.classes, zero_division=0
        )
        names = ("precision", "recall", "f1", "support")
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}

    @cached_property
    def auc(self) -> np.ndarray:
        """Area under the ROC curve of each class against the rest, [C]."""
        return np.atleast_1d(roc_auc_score(self.one_hot, self.probabilities, average=None))


# by name: a number, or for metrics of the table per_class an array [C]
FUNCTIONS: dict[str, Callable[[Predicted], float | np.ndarray]] = {}


def metric(name: str) -> Callable:
    """Register a function of usable predictions under the name that rows of the table of metrics use."""

    def register(function: Callable) -> Callable:
        FUNCTIONS[name] = function
        return function

    return register


def measure(name: str, predicted: Predicted) -> float | np.ndarray:
    """A metric (a name of METRICS) of predictions; NaN when they are not usable."""
    row = METRICS[name]
    if predicted.usable:
        return FUNCTIONS[row.function](predicted)
    return np.full(len(predicted.classes), np.nan) if row.table == "per_class" else np.nan


def confusion(predicted: Predicted) -> np.ndarray:
    """Numbers of images [C true, C classified as]; all 0 when the predictions are not usable."""
    if not predicted.usable:
        return np.zeros((len(predicted.classes), len(predicted.classes)), int)
    return confusion_matrix(predicted.labels, predicted.classified_as, labels=predicted.classes)


@metric("loss")
def cross_entropy(predicted: Predicted) -> float:
    """Mean of -log of the true class's probability.

    scikit-learn's log_loss replaces probabilities below 2e-16 by 2e-16. Heads trained at high rates give lower ones,
    and their loss would look better than it is.
    """
    true_class = predicted.probabilities[np.arange(len(predicted.labels)), predicted.labels]
    return float(-np.log(np.clip(true_class, SMALLEST_PROBABILITY, 1), dtype=np.float64).mean())


@metric("accuracy")
def accuracy(predicted: Predicted) -> float:
    """Share of images whose most probable class is the true one."""
    return float((predicted.classified_as == predicted.labels).mean())


@metric("precision")
def precision(predicted: Predicted) -> np.ndarray:
    return predicted.by_class["precision"]


@metric("recall")
def recall(predicted: Predicted) -> np.ndarray:
    return predicted.by_class["recall"]


@metric("f1")
def f1(predicted: Predicted) -> np.ndarray:
    return predicted.by_class["f1"]


@metric("support")
def support(predicted: Predicted) -> np.ndarray:
    return predicted.by_class["support"]


@metric("auc")
def auc(predicted: Predicted) -> np.ndarray:
    return predicted.auc


@metric("precision_macro")
def precision_macro(predicted: Predicted) -> float:
    return predicted.by_class["precision"].mean()


@metric("recall_macro")
def recall_macro(predicted: Predicted) -> float:
    return predicted.by_class["recall"].mean()


@metric("f1_macro")
def f1_macro(predicted: Predicted) -> float:
    return predicted.by_class["f1"].mean()


@metric("kappa")
def kappa(predicted: Predicted) -> float:
    """Cohen's kappa."""
    return cohen_kappa_score(predicted.labels, predicted.classified_as, labels=predicted.classes)


@metric("auc_macro")
def auc_macro(predicted: Predicted) -> float:
    return predicted.auc.mean()


@metric("auc_micro")
def auc_micro(predicted: Predicted) -> float:
    return roc_auc_score(predicted.one_hot.ravel(), predicted.probabilities.ravel())


@metric("ece")
def ece(predicted: Predicted) -> float:
    return expected_calibration_error(predicted.probabilities, predicted.labels)


@metric("brier")
def brier(predicted: Predicted) -> float:
    # pyrefly: ignore[unexpected-keyword] - the type hints are of an earlier scikit-learn
    return brier_score_loss(predicted.labels, predicted.probabilities, labels=predicted.classes)


def interval(values: np.ndarray, metric: str) -> tuple[float, float, float]:
    """Mean and 95 % t interval over seeds: the randomness of training only, not of the choice of test images.

    The interval is cut at the lowest and highest possible value of the metric (a name of METRICS): that of two
    scattered seeds would extend far beyond 100 %. NaN values (diverged trainings) are left out; with fewer than two
    others the bounds are NaN.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    mean = values.mean()
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return mean, max(mean - half, METRICS[metric].low), min(mean + half, METRICS[metric].high)
