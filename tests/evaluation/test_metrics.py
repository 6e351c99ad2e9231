"""Metrics against their definitions, and intervals over replicates against Student's t."""

import numpy as np
import pytest

from medgrid.config.metrics import COMPARED, MEASURED, METRICS, PER_CLASS
from medgrid.evaluation.contributions import CONTRIBUTIONS
from medgrid.evaluation.metrics import FUNCTIONS, Predicted, confusion, interval, measure

OF_TEST = [name for name in MEASURED if METRICS[name].part == "test"]


def evaluate(probabilities, labels):
    """Metrics of the test part by name without `test_`, metrics of classes by name, and the confusion matrix."""
    predicted = Predicted(probabilities, labels)
    summary = {name.removeprefix("test_"): measure(name, predicted) for name in OF_TEST}
    return summary, {name: measure(name, predicted) for name in PER_CLASS}, confusion(predicted)


def test_each_metric_has_the_functions_that_its_row_names():
    """The table of metrics, what is registered, and which curves a training writes agree."""
    named = {metric.function for metric in METRICS.values() if metric.function}
    assert named == set(FUNCTIONS)
    assert {METRICS[name].function for name in COMPARED} == set(CONTRIBUTIONS)
    assert all(bool(metric.function) == bool(metric.part) for metric in METRICS.values())
    from_training = {"temperature", "test_loss_with_penalty", "train_accuracy", "train_loss", "penalty"}
    assert {name for name in MEASURED if not METRICS[name].function} == from_training
    for metric in METRICS.values():
        assert metric.low < metric.high
        assert metric.unit != "share" or metric.high == 1


def test_values_as_text():
    assert METRICS["test_accuracy"].format(0.98765) == "98.77"
    assert METRICS["test_accuracy"].format(0.98765, digits=3) == "98.8"
    assert METRICS["test_loss"].format(0.123456) == "0.1235"
    assert METRICS["test_auc_macro"].format(0.98765) == "0.9877"
    assert METRICS["parameters"].format(15244100) == "15,244,100"
    assert METRICS["support"].format(20.0) == "20"


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    logits = 2 * np.eye(3)[labels] + rng.normal(size=(400, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities.astype(np.float32), labels


def test_against_definitions(predictions):
    """Each metric from its definition, computed in another way."""
    probabilities, labels = predictions
    summary, per_class, matrix = evaluate(probabilities, labels)
    predicted = probabilities.argmax(1)
    assert summary["accuracy"] == pytest.approx((predicted == labels).mean())
    assert summary["loss"] == pytest.approx(-np.log(probabilities[np.arange(400), labels]).mean(), rel=1e-5)
    for c in range(3):
        hit = ((predicted == c) & (labels == c)).sum()
        precision, recall = hit / (predicted == c).sum(), hit / (labels == c).sum()
        assert per_class["precision"][c] == pytest.approx(precision)
        assert per_class["recall"][c] == pytest.approx(recall)
        assert per_class["f1"][c] == pytest.approx(2 * precision * recall / (precision + recall))
        # the chance that an image of the class scores higher than one of another
        members, others = probabilities[labels == c, c], probabilities[labels != c, c]
        wins = (members[:, None] > others).mean() + (members[:, None] == others).mean() / 2
        assert per_class["auc"][c] == pytest.approx(wins)
        for p in range(3):
            assert matrix[c, p] == ((labels == c) & (predicted == p)).sum()
    chance = sum((labels == c).mean() * (predicted == c).mean() for c in range(3))
    assert summary["kappa"] == pytest.approx((summary["accuracy"] - chance) / (1 - chance))
    assert summary["f1_macro"] == pytest.approx(per_class["f1"].mean())
    assert summary["auc_macro"] == pytest.approx(per_class["auc"].mean())


def test_a_diverged_training_has_no_metrics(predictions):
    probabilities, labels = predictions
    summary, per_class, matrix = evaluate(np.full_like(probabilities, np.nan), labels)
    assert all(np.isnan(value) for value in summary.values())
    assert all(np.isnan(value).all() for value in per_class.values())
    assert matrix.sum() == 0


def test_one_predicted_class_is_not_an_error(predictions):
    _, labels = predictions
    constant = np.tile([0.8, 0.1, 0.1], (400, 1))
    summary, per_class, _ = evaluate(constant, labels)
    assert summary["kappa"] == 0
    assert per_class["precision"][1] == 0
    assert summary["auc_macro"] == pytest.approx(0.5)


def test_two_classes(predictions):
    labels = np.array([0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    summary, per_class, _ = evaluate(probabilities, labels)
    assert per_class["auc"].tolist() == [1.0, 1.0]
    assert summary["accuracy"] == 0.75


def test_the_interval_is_student_s():
    # by hand: t(0.975, 4) = 2.776445, s = sqrt(2.5), n = 5
    mean, low, high = interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), "test_loss")
    assert mean == 3
    assert high - mean == pytest.approx(2.776445 * np.sqrt(2.5 / 5), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)
    assert interval(np.array([2.0, np.nan]), "test_loss")[0] == 2
    assert np.isnan(interval(np.array([2.0]), "test_loss")[1])
    assert all(np.isnan(interval(np.array([np.nan]), "test_loss")))


@pytest.mark.parametrize(
    ("metric", "lowest", "highest"),
    [("test_accuracy", 0, 1), ("test_kappa", -1, 1), ("test_loss", 0, 4.8), ("test_brier", 0, 2), ("auc", 0, 1)],
)
def test_the_interval_ends_where_the_metric_does(metric, lowest, highest):
    # by hand: t(0.975, 1) = 12.7062, on either side of 0.5 times 0.34
    mean, low, high = interval(np.array([0.16, 0.84]), metric)
    assert mean == pytest.approx(0.5)
    assert (low, high) == pytest.approx((lowest, highest), abs=0.03)


def test_the_interval_covers():
    rng = np.random.default_rng(0)
    trials = [interval(rng.normal(50, 2, 5), "test_loss") for _ in range(2000)]
    covered = np.mean([low < 50 < high for _, low, high in trials])
    # standard error of the share: 0.005
    assert 0.935 < covered < 0.965
