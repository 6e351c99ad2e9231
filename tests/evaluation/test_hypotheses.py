"""Verdicts on single numbers, and what more replicates would make of them."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from medgrid.evaluation.hypotheses import Hypothesis, PValues, holm, verdict
from medgrid.evaluation.statistics import LEVEL, Estimate

BETTER = Hypothesis("above", margin=0.01)


def measured(value: float, error: float) -> Estimate:
    """An estimate with many degrees of freedom, whose interval is 1.96 errors either way."""
    return Estimate(value, 0.0, error, 0.0, 100, 100_000)


@pytest.mark.parametrize(
    ("hypothesis", "low", "high", "expected"),
    [
        (BETTER, 0.001, 0.02, "supported"),
        (BETTER, 0.001, 0.009, "negligible"),  # significant, but too small to matter
        (BETTER, -0.009, 0.009, "negligible"),
        (BETTER, -0.02, -0.001, "contradicted"),
        (BETTER, -0.009, -0.001, "negligible"),
        (BETTER, -0.001, 0.02, "open"),
        (BETTER, 0.02, 0.03, "supported"),
        (Hypothesis("above", 0.05), 0.02, 0.04, "contradicted"),  # by at least 5 points
        (Hypothesis("above", 0.05), 0.051, 0.06, "supported"),
        (Hypothesis("about", margin=0.01), -0.009, 0.009, "supported"),
        (Hypothesis("about", margin=0.01), 0.005, 0.02, "open"),
        (Hypothesis("about", margin=0.01), 0.0101, 0.015, "open"),  # each side at half the level
        (Hypothesis("about", margin=0.01), 0.011, 0.015, "contradicted"),
        (Hypothesis("about", 0.05, 0.01), 0.041, 0.059, "supported"),
        (Hypothesis("not_above", margin=0.01), -0.2, 0.009, "supported"),
        (Hypothesis("not_above", margin=0.01), 0.011, 0.2, "contradicted"),
        (Hypothesis("below", 0.01), -0.2, 0.009, "supported"),
        (Hypothesis("below", 0.01), 0.005, 0.02, "open"),
    ],
)
def test_an_interval_has_its_verdict(hypothesis, low, high, expected):
    estimate = measured((low + high) / 2, (high - low) / 2 / stats.norm.isf(LEVEL))
    assert estimate.interval() == pytest.approx((low, high), abs=1e-5)
    assert verdict(hypothesis.p_values(estimate)) == expected


def test_what_was_not_measured_is_open():
    assert verdict(PValues()) == "open"
    assert BETTER.p_values(Estimate(np.nan, np.nan, np.nan, np.nan, 0, 0)) == PValues()


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 0.005, 0.02, -0.02])
@pytest.mark.parametrize("hypothesis", [BETTER, Hypothesis("about", margin=0.01)])
def test_probabilities_of_verdicts_are_their_frequencies(hypothesis, value):
    """If the estimates of a first study are the truth."""
    seeds, spread, image_error = 3, 0.014, 0.002
    first = Estimate(value, spread / np.sqrt(seeds), image_error, 0.0, seeds, 1000)
    probabilities = hypothesis.probabilities(first)
    rng = np.random.default_rng(5)
    for count in (5, 12, 40):
        drawn = value + rng.normal(0, spread, (3000, count)) + rng.normal(0, image_error, (3000, 1))
        errors = stats.sem(drawn, axis=1)
        words = [
            verdict(hypothesis.p_values(Estimate(row.mean(), error, image_error, 0.0, count, 1000)))
            for row, error in zip(drawn, errors, strict=True)
        ]
        for word, found in probabilities.items():
            # bounds of probabilities of two events together, not the probabilities themselves
            assert found[count - 2] == pytest.approx(words.count(word) / len(words), abs=0.1), (word, count)


def test_images_that_leave_it_open_are_not_replaced_by_seeds():
    probabilities = BETTER.probabilities(Estimate(0.01, 0.001, 0.02, 0.0, 5, 200))
    assert max(each.max() for each in probabilities.values()) < 0.2


def test_holms_correction_is_statsmodels():
    rng = np.random.default_rng(0)
    for size in (1, 2, 30):
        p = np.round(rng.random(size) ** 3, 2)  # ties, too
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert len(holm([])) == 0
