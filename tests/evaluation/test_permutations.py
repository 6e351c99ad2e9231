"""The permutation test of a rank correlation."""

import numpy as np
import pytest
from scipy import stats

from medgrid.evaluation.hypotheses import Hypothesis, verdict
from medgrid.evaluation.permutations import rank_correlation


def test_it_is_scipys_exact_test_for_one_seed():
    rng = np.random.default_rng(0)
    sizes, values = rng.permutation(7).astype(float), rng.normal(size=7)
    ours = rank_correlation(sizes, values[:, None])
    theirs = stats.permutation_test(
        (sizes,), lambda x: stats.spearmanr(x, values).statistic, permutation_type="pairings", alternative="greater"
    )
    assert ours.value == pytest.approx(stats.spearmanr(sizes, values).statistic)
    assert ours.above == pytest.approx(theirs.pvalue)
    assert ours.above + ours.below > 1  # both include the observed order


@pytest.mark.parametrize("seeds", [pytest.param(5, marks=pytest.mark.slow), 20])
def test_without_an_association_few_are_seen_however_many_seeds(seeds):
    """Networks differ, in the same way with each seed: nine of them in order by chance are no proof."""
    rng, found = np.random.default_rng(1), 0
    sizes = np.repeat([1.0, 2.0, 3.0], 3)
    for _ in range(60):
        values = rng.normal(size=(9, 1)) + rng.normal(0, 0.1, (9, seeds))
        found += verdict(Hypothesis("above").p_values(rank_correlation(sizes, values))) != "open"
    assert found <= stats.binom.ppf(0.999, 60, 0.05)


def test_an_association_of_nine_networks_is_seen():
    sizes = np.arange(9.0)
    values = sizes[:, None] + np.random.default_rng(2).normal(0, 0.1, (9, 3))
    assert verdict(Hypothesis("above").p_values(rank_correlation(sizes, values))) == "supported"
    assert verdict(Hypothesis("above").p_values(rank_correlation(sizes, -values))) == "contradicted"


def test_more_networks_are_permuted_at_random():
    sizes = np.arange(12.0)
    values = sizes[:, None] + np.zeros((1, 2))
    assert rank_correlation(sizes, values).above == pytest.approx(1e-5, rel=0.01)  # the observed order alone


def test_too_few_networks_or_one_size_settle_nothing():
    assert rank_correlation(np.array([1.0, 2.0]), np.array([[1.0, 1.0], [2.0, 2.0]])).above == 0.5
    assert np.isnan(rank_correlation(np.ones(3), np.zeros((3, 2))).value)
