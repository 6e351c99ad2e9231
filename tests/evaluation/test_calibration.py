"""Calibration against scikit-learn, against definitions, and against a temperature that is known."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve

from medgrid.evaluation.calibration import (
    BINS,
    TEMPERATURES,
    expected_calibration_error,
    fit_temperature,
    reliability,
    scaled,
)
from medgrid.evaluation.metrics import Predicted
from medgrid.evaluation.metrics import cross_entropy as loss_of

TRUE = 2.5


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return loss_of(Predicted(probabilities, labels))


def sample(images: int, classes: int, temperature: float = 1.0, seed: int = 0):
    """Probabilities of a network that is overconfident by a known temperature, and labels from calibrated ones."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(images, classes))
    truth = softmax(logits, axis=1)
    labels = (truth.cumsum(1) > rng.random((images, 1))).argmax(1)
    return softmax(temperature * logits, axis=1).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_bins_are_those_of_scikit_learn(classes):
    probabilities, labels = sample(1403, classes, TRUE)
    images, confidence, accuracy = reliability(probabilities, labels)
    right = probabilities.argmax(1) == labels
    wanted = calibration_curve(right, probabilities.max(1).astype(float), n_bins=BINS, strategy="quantile")
    assert accuracy == pytest.approx(wanted[0])
    assert confidence == pytest.approx(wanted[1])
    assert images.sum() == 1403
    assert np.ptp(images) <= 3  # the same confidence on an edge


def test_the_error_by_hand():
    """Four confidences, each its own bin: an image at a time."""
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.1, 0.9]], np.float32)
    labels = np.array([0, 0, 0, 1])
    assert expected_calibration_error(probabilities, labels) == pytest.approx((0.4 + 0.7 + 0.2 + 0.1) / 4)


def test_images_of_one_confidence_share_a_bin():
    """Half the images at a confidence of exactly 1: no bin may depend on their order."""
    probabilities, labels = sample(1000, 3)
    probabilities[:500] = np.eye(3, dtype=np.float32)[(labels[:500] + np.arange(500) % 2) % 3]
    images, confidence, accuracy = reliability(probabilities, labels)
    last = probabilities.max(1) > np.sort(probabilities.max(1))[-images[-1] - 1]
    assert 500 <= images[-1] == last.sum() < 500 + 1000 / BINS
    assert accuracy[-1] == pytest.approx((probabilities.argmax(1) == labels)[last].mean())
    assert confidence[-1] == pytest.approx(probabilities.max(1)[last].mean())
    order = np.random.default_rng(1).permutation(1000)
    assert expected_calibration_error(probabilities[order], labels[order]) == pytest.approx(
        expected_calibration_error(probabilities, labels)
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_scaling_finds_the_temperature_and_calibrates_the_probabilities(classes):
    validation, test = (sample(20_000, classes, TRUE, seed) for seed in (0, 1))
    temperature = fit_temperature(*validation)
    assert temperature == pytest.approx(TRUE, rel=0.05)
    rescaled = scaled(test[0], temperature)
    assert rescaled.sum(1) == pytest.approx(1)
    assert (rescaled.argmax(1) == test[0].argmax(1)).all()
    assert cross_entropy(rescaled, test[1]) < cross_entropy(*test) - 0.05
    # the error of a calibrated network, by chance: 15 bins of 1,333 images
    assert expected_calibration_error(rescaled, test[1]) < 0.015 < 0.09 < expected_calibration_error(*test)


def test_the_temperature_is_the_best_of_a_grid():
    probabilities, labels = sample(500, 3, 1.7, seed=3)
    logs = np.log(probabilities.astype(float))
    grid = np.geomspace(*TEMPERATURES, 20_001)
    losses = [-log_softmax(logs / each, axis=1)[np.arange(500), labels].mean() for each in grid]
    assert fit_temperature(probabilities, labels) == pytest.approx(grid[np.argmin(losses)], rel=1e-3)


def test_probabilities_of_exactly_nothing():
    """Heads trained at high rates are that confident, and sometimes wrong."""
    labels = np.arange(300) % 3
    probabilities = np.eye(3, dtype=np.float32)[np.where(np.arange(300) < 30, (labels + 1) % 3, labels)]
    temperature = fit_temperature(probabilities, labels)
    # one in ten wrong: a confidence of 0.9 is best, within the range of temperatures
    rescaled = scaled(probabilities, temperature)
    assert np.isfinite(rescaled).all()
    assert rescaled.max() == pytest.approx(0.9, abs=0.07)
    assert (rescaled.argmax(1) == probabilities.argmax(1)).all()
    assert cross_entropy(rescaled, labels) < 0.5 < 8 < cross_entropy(probabilities, labels)


def test_validation_without_an_error_stays_within_bounds():
    labels = np.arange(60) % 3
    probabilities = softmax(3 * np.eye(3)[labels], axis=1)
    low, high = TEMPERATURES
    # below, every probability is already 1 to the last digit
    assert low <= fit_temperature(probabilities, labels) < 0.1
    assert high >= fit_temperature(probabilities, (labels + 1) % 3) > 0.99 * high


def test_a_diverged_training_has_no_temperature():
    assert np.isnan(fit_temperature(np.full((5, 2), np.nan), np.zeros(5, int)))
