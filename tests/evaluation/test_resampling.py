"""Replicates on several random splits: the corrected error, tables and verdicts over splits."""

import json
import sys

import factories
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from medgrid.evaluation.compact import FILE, CompactPredictions
from medgrid.evaluation.improvement import improvement
from medgrid.evaluation.resampling import ResampledResults, deviations, estimate_over_splits, read_results
from medgrid.evaluation.results import StudyResults, read_table
from medgrid.evaluation.verdicts import verdicts

sys.path.insert(0, str(ROOT / "benchmarks"))
from splits_check import Scenario, simulate

SPLITS = {"splits": 4, "seeds": 2}
CLAIMS = {
    "rates": {"text": "High is better.", "tests": [{"kind": "order", "settings": [{"lr": 0.1}, {"lr": 0.01}]}]},
    "gap": {"text": "A gap.", "tests": [{"kind": "generalization_gap", "settings": {"lr": 0.1}, "above": 0.0}]},
    "noise": {"text": "Noise.", "tests": [{"kind": "noisier", "settings": [{"lr": 0.1}, {"lr": 0.01}]}]},
    "quick": {"text": "Quick.", "tests": [{"kind": "fastest", "settings": {"lr": 0.1}}]},
    "sizes": {"text": "Sizes.", "tests": [{"kind": "correlated", "size": "parameters"}]},
}
MODELS = ("resnet18", "vgg16")


def test_the_error_over_splits_by_hand():
    # mean 0.8, variance 0.01; 0.01 * (1/3 + 20/80) = 0.0763763 squared; t of 2 degrees of freedom: 4.302653
    measured = estimate_over_splits(np.array([[0.8], [0.9], [0.7]]), 20, 80)
    assert measured.value == pytest.approx(0.8)
    assert measured.error == pytest.approx(0.0763763, abs=1e-6)
    assert measured.degrees_of_freedom == pytest.approx(2)
    assert measured.interval() == pytest.approx((0.8 - 4.302653 * 0.0763763, 0.8 + 4.302653 * 0.0763763), abs=1e-5)
    assert measured.seeds == 3


def test_seeds_count_once_per_split_and_failed_ones_are_left_out():
    values = np.array([[0.6, 1.0], [0.9, np.nan], [np.nan, np.nan], [0.7, 0.7]])
    assert estimate_over_splits(values, 1, 4) == estimate_over_splits(np.array([[0.8], [0.9], [0.7]]), 1, 4)
    one = estimate_over_splits(np.array([[0.8]]), 1, 4)
    assert one.value == 0.8
    assert np.isnan(one.interval()).all()
    assert np.isnan(estimate_over_splits(np.full((2, 1), np.nan), 1, 4).value)


def test_standard_deviations_between_splits_and_between_seeds_by_hand():
    # means 2 and 6 have variance 8, of which seeds (variance 2 each) are 2 / 2
    assert deviations(np.array([[1.0, 3.0], [5.0, 7.0]])) == pytest.approx((np.sqrt(7), np.sqrt(2)))
    # splits do not differ at all: the estimate is negative, and cut
    assert deviations(np.array([[1.0, 5.0], [2.0, 4.0]])) == pytest.approx((0, np.sqrt(5)))
    between, within = deviations(np.array([[1.0], [3.0]]))
    assert between == pytest.approx(np.sqrt(2))
    assert np.isnan(within)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "odd"
    params = factories.small(
        {"model": list(MODELS), "lr": [0.1, 0.01]}, models=MODELS, replicates=SPLITS, claims=CLAIMS
    )
    manifest, jobs = factories.settings_of(params)
    cell = manifest.cells[0]["id"]
    factories.write_study(folder, manifest, jobs, diverged=((cell, 1001),))
    factories.evaluate(folder, manifest)
    return folder, manifest


def test_each_split_has_its_own_seeds(study):
    folder, manifest = study
    results = read_results(manifest, folder, folder / "images.csv")
    assert isinstance(results, ResampledResults)
    assert list(results.by_seed("test_accuracy")) == [0, 1, 1000, 1001, 2000, 2001, 3000, 3001]
    gaps = results.of_curves(lambda curves: curves["train_accuracy"].iloc[-1])
    assert list(gaps) == list(results.by_seed("test_accuracy")) == list(results.seconds_per_epoch)
    assert np.isnan(gaps.iloc[0][1001])
    # 60 test images in clusters of one in the first split, of three in the others
    assert [each.split_sizes for each in results.splits] == [(60, 120), (20, 40), (20, 40), (20, 40)]


def test_clusters_are_counted_only_where_they_are_dealt(study):
    folder, manifest = study
    split = folder / f"{manifest.other_splits[0].split}.csv"
    published = manifest.model_copy(update={"protocol": "published"})
    assert StudyResults(published, folder, split).split_sizes == (60, 120)
    validated = manifest.model_copy(update={"split": manifest.split.model_copy(update={"validation": "test"})})
    assert StudyResults(validated, folder, split).split_sizes == (20, 20)


def test_tables_over_splits(study):
    folder, manifest = study
    results = read_results(manifest, folder, folder / "images.csv")
    accuracy = results.by_seed("test_accuracy")
    table = read_table(folder / "tables/splits.csv").set_index(["metric", "cell"])
    cell = results.cells[1]
    means = accuracy.loc[cell].to_numpy().reshape(4, 2).mean(1)
    row = table.loc[("test_accuracy", cell)]
    assert row["mean"] == pytest.approx(means.mean(), abs=1e-6)
    ratio = (60 + 3 * 20) / (120 + 3 * 40)
    half = 3.182446 * np.sqrt(means.var(ddof=1) * (1 / 4 + ratio))
    assert [row["low"], row["high"]] == pytest.approx([means.mean() - half, min(1, means.mean() + half)], abs=1e-5)
    assert row[["over", "splits", "seeds"]].tolist() == ["splits", 4, 2]
    loss = table.loc[("test_loss", cell)]
    assert 0 < loss["low"] < loss["mean"] < loss["high"]
    # the same in intervals.csv, which has no interval over seeds or images then
    intervals = read_table(folder / "tables/intervals.csv").set_index(["metric", "cell"])
    same = intervals.loc[("test_accuracy", cell)]
    assert same[["mean", "both_low", "both_high"]].tolist() == row[["mean", "low", "high"]].tolist()
    assert same[["seeds_low", "seeds_high", "images_low", "images_high"]].isna().all()
    # comparisons are paired by split
    comparisons = read_table(folder / "tables/comparisons.csv")
    assert set(comparisons["over"]) == {"splits"}
    pair = comparisons[comparisons["compared"] == "lr"].iloc[0]
    signs = np.array([1 if "lr=0.1" in cell else -1 for cell in results.cells]) / 2
    difference = (signs @ accuracy.to_numpy()).reshape(4, 2).mean(1)
    assert pair["difference"] == pytest.approx(difference.mean(), abs=1e-6)
    assert pair["effect"] == pytest.approx(difference.mean() / difference.std(ddof=1), rel=1e-5)
    # the table of cells is that of the first split
    cells = read_table(folder / "tables/cells.csv")
    best = cells[(cells["cell"] == cell) & (cells["checkpoint"] == "best")].iloc[0]
    assert best["test_accuracy_mean"] == pytest.approx(accuracy.loc[cell, [0, 1]].mean(), abs=1e-6)


def test_probabilities_of_improvement_are_about_other_splits_of_these_images(study, monkeypatch):
    """Given the images, splits are independent: four splits are four trials."""
    folder, manifest = study
    results = read_results(manifest, folder, folder / "images.csv")
    values = pd.DataFrame(0.5, results.cells, range(4))
    values.loc[[cell for cell in results.cells if "lr=0.1" in cell]] = 0.9
    monkeypatch.setattr(ResampledResults, "by_replicate", lambda *_: values)
    row = improvement(results).set_index("axis").loc["lr"]
    assert row[["probability", "replicates", "over"]].tolist() == [1, 4, "splits of these images"]
    assert [row["low"], row["high"]] == pytest.approx([0.025 ** (1 / 4), 1])


def test_claims_are_judged_over_splits(study):
    folder, manifest = study
    for claim in json.loads((folder / "tables/claims.json").read_text())["claims"]:
        for comparison in claim["comparisons"]:
            assert comparison["over"] == ("networks" if comparison["relation"] == "correlated" else "splits")
            assert claim["needed"] is None
            if comparison["over"] == "splits":
                assert comparison["replicates"] == 4, claim["name"]
            if comparison["low"] is not None:  # there is none where nothing varies
                assert comparison["low"] <= comparison["estimate"] <= comparison["high"]
    # the same study with its first split alone
    first = manifest.model_copy(update={"other_splits": []})
    alone = verdicts(read_results(first, folder, folder / "images.csv"))
    over = {part["over"] for claim in alone["claims"] for part in claim["comparisons"]}
    assert over == {"seeds", "seeds and test images", "networks"}


def test_one_split_has_no_table_of_splits(tmp_path):
    manifest, jobs = factories.settings_of(factories.small({"lr": [0.1, 0.01]}))
    factories.write_study(tmp_path, manifest, jobs)
    factories.evaluate(tmp_path, manifest)
    assert not (tmp_path / "tables/splits.csv").exists()
    assert set(read_table(tmp_path / "tables/comparisons.csv")["over"]) == {"seeds and test images"}


def test_tables_over_splits_come_back_from_the_small_file(study, tmp_path):
    folder, manifest = study
    compact = CompactPredictions(folder / FILE)
    assert list(compact.others) == [other.split for other in manifest.other_splits]
    split = compact.unpack(tmp_path)
    original, copy = (
        ResampledResults(manifest, *paths) for paths in ((folder, folder / "images.csv"), (tmp_path, split))
    )
    pd.testing.assert_frame_equal(original.by_seed("test_accuracy"), copy.by_seed("test_accuracy"))
    assert [each.split_sizes for each in copy.splits] == [each.split_sizes for each in original.splits]
    weights = pd.Series({manifest.cells[0]["id"]: 1.0, manifest.cells[1]["id"]: -1.0})
    assert original.estimate(weights, "test_accuracy") == copy.estimate(weights, "test_accuracy")


@pytest.mark.slow
def test_the_page_says_over_what_intervals_go(study):
    folder, manifest = study
    page = factories.reported(folder, manifest, figures=False)
    assert "2 replicates each on each of 4 random splits" in page
    assert "Intervals are over 4 random splits: what if as many other images" in page
    assert "for other random splits of these images" in page
    assert "splits.csv" in page


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [Scenario(), Scenario(cluster=5)])
def test_the_correction_has_the_nominal_coverage(scenario):
    (corrected, _, without, _), _ = simulate(scenario, 400)
    assert corrected < 0.075  # 5 %, and two standard errors
    assert without > 0.12


@pytest.mark.slow
def test_the_correction_is_too_small_where_results_follow_single_training_images():
    _, correlation = simulate(Scenario(learner="thresholds", spread=3.0), 1000)
    assert correlation > 0.23  # the correction supposes 0.2
