"""Interactions, against analyses of variance made by hand and by statsmodels."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from medgrid.config.claims import Criterion
from medgrid.config.metrics import METRICS
from medgrid.evaluation.interactions import interaction, interactions, p_by_seed, simple_effects
from medgrid.evaluation.statistics import estimate

AXES = {"model": ["a", "b"], "batch_size": [32, 64], "lr": [0.01, 0.1, 1.0]}


class Results:
    """What the tables need of a study's results: settings and one value per cell and seed."""

    def __init__(self, by_seed: pd.DataFrame, settings: pd.DataFrame, metric: str = "test_accuracy"):
        self.manifest = SimpleNamespace(criterion=Criterion(metric=metric))
        self.cells, self.axes, self.settings = list(settings.index), list(settings), settings
        self.by_seed = lambda metric: by_seed
        self.diverged = pd.DataFrame(False, by_seed.index, by_seed.columns)

    def estimate(self, weights: pd.Series, metric: str):
        return estimate(
            METRICS[metric].sign * (weights.to_numpy() @ self.by_seed(metric).loc[weights.index].to_numpy())
        )


def study(effect, seeds: int = 4, leave_out: tuple = (), metric: str = "test_accuracy") -> Results:
    """Every combination of AXES; a cell's mean is `effect(settings)`, and seeds scatter around it by 0.01."""
    points = [dict(zip(AXES, point, strict=True)) for point in itertools.product(*AXES.values())]
    points = [point for point in points if tuple(point.values()) not in leave_out]
    names = ["_".join(map(str, point.values())) for point in points]
    noise = np.random.default_rng(3).normal(0, 0.01, (len(points), seeds))
    by_seed = pd.DataFrame(noise + [[effect(point)] for point in points], names)
    return Results(by_seed, pd.DataFrame(points, names, dtype=object), metric)


def test_sums_of_squares_of_two_factors_by_hand():
    """Two by two, one block of other settings, two seeds: every sum can be done on paper."""
    values = np.array([[[1.0, 3.0], [2.0, 2.0]], [[4.0, 4.0], [9.0, 11.0]]]).reshape(2, 2, 1, 2)
    table = interaction(values)
    # cell means 2, 2, 4, 10; row means 2, 7; column means 3, 6; grand mean 4.5: interaction of +-1.5 in every cell,
    # 8 x 1.5^2 = 18. Seed means 4, 5: residuals of +-0.5 everywhere, 8 x 0.5^2 = 2
    assert table["df"] == 1
    assert table["df_rest"] == 3
    assert table["F"] == pytest.approx(18 / (2 / 3))
    assert table["eta_squared"] == pytest.approx(18 / 20)


def test_as_statsmodels_has_it_with_every_effect_in_the_model():
    results = study(
        lambda p: 0.1 * (p["model"] == "b") * np.log10(p["lr"]) + 0.02 * (p["batch_size"] == 32) * p["lr"]
    )
    table = interactions(results).set_index(["first", "second"])
    long = results.by_seed("").rename_axis(index="cell", columns="seed").stack().rename("y").reset_index()
    long = long.join(results.settings, on="cell")
    by_model = anova_lm(smf.ols("y ~ C(model) * C(batch_size) * C(lr) + C(seed)", long).fit(), typ=2)
    for one, other in itertools.combinations(AXES, 2):
        row = by_model.loc[f"C({one}):C({other})"]
        assert table.loc[(one, other), "F"] == pytest.approx(row["F"])
        assert table.loc[(one, other), "p"] == pytest.approx(row["PR(>F)"])
        assert table.loc[(one, other), "df_rest"] == by_model.loc["Residual", "df"]


def test_effects_of_other_settings_are_no_noise():
    """Model x rate is large; batch size x rate, an eighth of it, is still seen."""
    results = study(
        lambda p: 0.2 * (p["model"] == "b") * np.log10(p["lr"]) + 0.05 * (p["batch_size"] == 32) * p["lr"], seeds=8
    )
    table = interactions(results).set_index(["first", "second"])
    assert table.loc[("batch_size", "lr"), "p_adjusted"] < 0.01
    assert table.loc[("model", "batch_size"), "p_adjusted"] > 0.05


def test_no_interaction_is_rarely_seen():
    rng = np.random.default_rng(0)
    p = [interaction(rng.normal(size=(2, 3, 2, 5)) + rng.normal(size=(2, 1, 2, 1)))["p"] for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_the_effect_at_each_value():
    results = study(lambda p: {0.01: 0.03, 0.1: 0.0, 1.0: -0.03}[p["lr"]] * (p["batch_size"] == 32), seeds=30)
    table = simple_effects(results)
    rows = table[(table["axis"] == "batch_size") & table["at"].str.startswith("learning")]
    assert list(rows["first"]) == ["batch size 32"] * 3
    assert list(rows["second"]) == ["batch size 64"] * 3
    assert list(rows["at"]) == ["learning rate 0.01", "learning rate 0.1", "learning rate 1"]
    assert rows["difference"].to_numpy() == pytest.approx([0.03, 0, -0.03], abs=0.005)
    assert (rows["seeds_low"] < rows["difference"]).all()
    assert (rows["difference"] < rows["seeds_high"]).all()
    assert set(rows["cells"]) == {4}
    # two models and two batch sizes against three rates: the two are compared, at each of the three
    assert set(table["axis"]) == {"model", "batch_size"}


def test_of_a_loss_less_is_better():
    results = study(lambda p: 0.1 * (p["batch_size"] == 32), metric="test_loss")
    rows = simple_effects(results)
    assert (rows.loc[rows["axis"] == "batch_size", "difference"] < 0).all()


def test_a_gap_in_the_grid_takes_its_block_out():
    """Without one cell, model b has not every batch size at every rate: only model a's block is complete."""
    results = study(lambda p: 0.0, leave_out=(("b", 64, 1.0),))
    table = interactions(results).set_index(["first", "second"])
    assert table.loc[("batch_size", "lr"), "df_rest"] == (6 - 1) * 3
    assert ("model", "batch_size") in table.index  # at the other rates


def test_nothing_to_test_is_an_empty_table():
    one_seed = study(lambda p: p["lr"], seeds=1)
    assert interactions(one_seed).empty
    assert simple_effects(one_seed)["seeds_low"].isna().all()
    alone = study(lambda p: 0.0, leave_out=tuple(p for p in itertools.product(*AXES.values()) if p[2] != 0.1))
    assert set(interactions(alone)["second"]) == {"batch_size"}


def test_seeds_as_subjects_by_hand():
    """Two by two: one contrast for each seed, so a paired t test of it."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2, 2, 3, 6)) + np.array([[0, 0], [0, 1.0]])[..., None, None]
    contrast = values[0, 0] - values[0, 1] - values[1, 0] + values[1, 1]
    assert p_by_seed(values) == pytest.approx(stats.ttest_1samp(contrast.mean(0), 0).pvalue)


def test_unequal_scatter_is_no_interaction():
    """One level scatters eight times as much as the others: seeds as subjects keep their level."""
    rng = np.random.default_rng(1)
    scale = np.array([0.15, 0.15, 0.15, 1.2])[None, :, None, None]
    p = [p_by_seed(rng.normal(size=(2, 4, 2, 5)) * scale) for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) < 0.06


def test_seeds_that_do_not_scatter_test_nothing():
    still = study(lambda p: p["lr"] + 0.1 * (p["model"] == "b"))
    still.by_seed = lambda metric: pd.DataFrame({seed: still.settings["lr"].astype(float) for seed in range(4)})
    assert interactions(still).empty
    assert simple_effects(still)[["seeds_low", "seeds_high"]].isna().all(axis=None)


def test_a_setting_that_some_cells_lack_is_a_level(monkeypatch):
    monkeypatch.setitem(AXES, "batch_size", [None, 0.5])
    results = study(lambda p: 0.0)
    assert interactions(results)["df_rest"].tolist() == [11 * 3] * 3
    assert set(interactions(results)["cells"]) == {12}
    assert "without batch size" in set(simple_effects(results)["first"])


def test_diverged_trainings_are_counted():
    results = study(lambda p: 0.0)
    results.diverged.iloc[0, 0] = True
    assert set(interactions(results)["diverged"]) == {1}
