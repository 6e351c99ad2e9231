"""Expected best of k cells, probability of improvement, epochs to a target: by hand."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.evaluation.expected_best import best_probabilities, expected_best
from medgrid.evaluation.improvement import exact_interval, improvement, share_better
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.time_to_target import first_epoch, target_accuracy, time_to_target


@pytest.fixture
def results(tmp_path):
    params = factories.small({"model": ["resnet18", "vgg16"], "lr": [0.1, 0.01, 0.001]}, ("resnet18", "vgg16"))
    manifest, jobs = factories.settings_of(params)
    factories.write_study(tmp_path, manifest, jobs)
    return StudyResults(manifest, tmp_path, tmp_path / "images.csv")


def test_probability_of_each_cell_to_be_the_best_of_k():
    scores = np.array([0.9, 0.5, 0.7])
    np.testing.assert_allclose(best_probabilities(scores, 1), [1 / 3] * 3)
    # of the three pairs, two contain the first cell, and the other's best is the third
    np.testing.assert_allclose(best_probabilities(scores, 2), [2 / 3, 0, 1 / 3])
    np.testing.assert_allclose(best_probabilities(scores, 3), [1, 0, 0], atol=1e-15)
    # two equal scores share their chance; a cell that diverged in all seeds is chosen only without others
    np.testing.assert_allclose(best_probabilities(np.array([0.5, 0.5, -np.inf]), 2), [0.5, 0.5, 0])
    np.testing.assert_allclose(best_probabilities(np.full(2, -np.inf), 1), [0.5, 0.5])
    many = best_probabilities(np.arange(3000.0), 1500)
    assert many.sum() == pytest.approx(1)
    assert many[-1] == pytest.approx(0.5)


def test_expected_best_selects_by_validation_and_reports_the_test_part(results, monkeypatch):
    # ResNet: validation 1, 2, 3 and test .9, .5, .7 in seed 0; all equal in seed 1
    validation = pd.DataFrame({0: [1, 2, 3, 0, 0, 0], 1: [1, 2, 3, 0, 0, 0]}, results.cells, dtype=float)
    test = pd.DataFrame({0: [0.9, 0.5, 0.7, 0.1, 0.1, 0.4], 1: [0.6] * 6}, results.cells)
    monkeypatch.setattr(StudyResults, "validation_by_seed", lambda _: validation)
    monkeypatch.setattr(StudyResults, "by_seed", lambda *_: test)
    table = expected_best(results)
    rows = table[table["value"] == "resnet18"].set_index("k")
    assert list(rows.index) == [1, 2, 3]
    # seed 0: mean of cells 0.7; of the pairs: 0.5 once, 0.7 twice; the best by validation: 0.7
    expected = [(0.7 + 0.6) / 2, ((0.5 + 2 * 0.7) / 3 + 0.6) / 2, (0.7 + 0.6) / 2]
    np.testing.assert_allclose(rows["mean"], expected)
    half = 12.706205 * 0.1 / 2  # t of one degree of freedom, times the standard error of 0.7 and 0.6
    assert rows.loc[3, "high"] - rows.loc[3, "mean"] == pytest.approx(half, abs=1e-6)
    assert set(table["over"]) == {"seeds"}
    vgg = table[table["value"] == "vgg16"].set_index("k")
    assert vgg.loc[3, "mean"] == pytest.approx((0.2 + 0.6) / 2)  # equal validation: the mean of all
    assert len(table) == 2 * 3 + 3 * 2


def test_validation_scores_of_trainings(results):
    scores = results.validation_by_seed()
    assert scores.shape == (6, 2)
    assert (scores < 0).all(axis=None)  # a loss, with its sign turned


def test_share_of_settings_in_which_the_first_is_better():
    differences = np.array([[0.1, -0.1, 0.0], [0.2, 0.1, -0.3]])
    np.testing.assert_allclose(share_better(differences), [1, 0.5, 0.25])


def test_interval_of_a_probability_is_clopper_and_pearson_s():
    from statsmodels.stats.proportion import proportion_confint

    low, high = exact_interval(np.arange(6) / 5, 5)
    for better in range(6):
        assert (low[better], high[better]) == pytest.approx(proportion_confint(better, 5, 0.05, "beta"), abs=1e-9)
    assert low[5] == pytest.approx(0.4782, abs=1e-4)  # five of five do not exclude one half


def test_probability_of_improvement_is_paired_by_seed_and_setting(results, monkeypatch):
    values = pd.DataFrame({0: [0.9, 0.5, 0.7, 0.1, 0.6, 0.4], 1: [0.3, 0.6, 0.4, 0.3, 0.5, 0.4]}, results.cells)
    monkeypatch.setattr(StudyResults, "by_replicate", lambda *_: values)
    table = improvement(results).set_index(["axis", "first", "second"])
    row = table.loc[("model", "resnet18", "vgg16")]
    # seed 0: better, worse, better; seed 1: equal, better, equal
    assert row["probability"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert [row["low"], row["high"]] == pytest.approx([float(end) for end in exact_interval(np.array(2 / 3), 2)])
    assert row[["settings", "replicates", "over"]].tolist() == [3, 2, "seeds"]
    assert len(table) == 1 + 3


def curves_of(*accuracies: float) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(1, len(accuracies) + 1), "validation_accuracy": accuracies})


def test_first_epoch_at_the_target():
    assert first_epoch(curves_of(0.2, 0.8, 0.7, 0.9), 0.8) == 2
    assert first_epoch(curves_of(0.2, 0.7), 0.8) == np.inf


def test_epochs_to_the_target_count_trainings_that_do_not_reach_it(results, monkeypatch):
    # three classes of equal size: chance 1/3; the first cell's highest are 0.8 and 0.9, of which the lower one counts
    low, failed = curves_of(0.4, 0.5, 0.5), None
    trainings = {
        results.cells[0]: [curves_of(0.5, 0.7, 0.8), curves_of(0.6, 0.9, 0.9)],
        results.cells[1]: [curves_of(0.8, 0.8, 0.83), low],
        results.cells[2]: [failed, curves_of(0.85, 0.8, 0.83)],
    } | {cell: [low, low] for cell in results.cells[3:]}

    def of_curves(_, measure):
        rows = [[np.nan if each is None else measure(each) for each in trainings[cell]] for cell in results.cells]
        return pd.DataFrame(rows, results.cells, [0, 1]).astype(float)

    monkeypatch.setattr(StudyResults, "of_curves", of_curves)
    monkeypatch.setattr(StudyResults, "seconds_per_epoch", pd.DataFrame(2.0, results.cells, [0, 1]))
    target = 1 / 3 + 0.95 * (0.8 - 1 / 3)
    assert target_accuracy(results) == pytest.approx(target)  # 0.777
    table = time_to_target(results).set_index("cell")
    assert table["target"].unique() == pytest.approx([target])
    first, second, third, fourth = (table.loc[cell] for cell in results.cells[:4])
    assert first[["reached", "epochs_median", "epochs_lowest", "epochs_highest"]].tolist() == [2, "2.5", "2", "3"]
    # the second seed stays at 0.5: the median of 1 and never is never
    assert second[["reached", "epochs_median", "epochs_lowest", "epochs_highest"]].tolist() == [
        1, "not reached", "1", "not reached",
    ]  # fmt: skip
    assert third[["reached", "epochs_lowest", "replicates"]].tolist() == [1, "1", 2]
    assert fourth[["reached", "epochs_lowest", "seconds_median"]].tolist() == [0, "not reached", "not reached"]
    trainings[results.cells[0]][0] = curves_of(0.1, 0.2, 0.3, 0.9)
    again = time_to_target(results).set_index("cell").loc[results.cells[0]]
    assert again[["epochs_median", "epochs_highest", "seconds_median"]].tolist() == ["3", "4", "6"]


@pytest.mark.parametrize("highest", [[0.6, 0.9], [0.5, 0.6, 0.9, 0.95], [0.5, 0.9, 0.95]])
def test_the_best_cell_reaches_the_target_also_with_an_even_number_of_seeds(results, monkeypatch, highest):
    # halfway between the middle seeds, the target would be above what half of the trainings reach
    values = pd.DataFrame(0.4, results.cells, range(len(highest)))
    values.iloc[0] = highest
    monkeypatch.setattr(StudyResults, "of_curves", lambda *_: values)
    reached = sum(each >= target_accuracy(results) for each in highest)
    assert reached > len(highest) / 2


def test_without_learning_there_is_no_target(results, monkeypatch):
    monkeypatch.setattr(StudyResults, "of_curves", lambda *_: pd.DataFrame(1 / 3, results.cells, results.seeds))
    assert time_to_target(results).empty
