"""Each cell against the nearest-thumbnail lookup: by hand, and where the split has no lookup."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.evaluation.lookup import lookup
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import estimate
from medgrid.report.model_card import Card

AXES = {"lr": [0.1, 0.01, 0.001]}


def results_of(folder, *diverged: int, **study) -> StudyResults:
    """`diverged`: seeds of the first cell."""
    params = factories.small(AXES, replicates=3, **study)
    return factories.evaluated(folder, params, diverged=tuple(("lr=0.1", seed) for seed in diverged))


def replace_lookup(results: StudyResults, labels: np.ndarray | None) -> StudyResults:
    """The same results with other labels of the lookup on the test images; None: without."""
    table = pd.read_csv(results.split, keep_default_na=False, dtype=str)
    if labels is None:
        table = table.drop(columns="lookup")
    else:
        table.loc[table["part"] == "test", "lookup"] = labels
    table.to_csv(results.split, index=False)
    return type(results)(results.manifest, results.folder, results.split, results.tensors)


def test_the_difference_is_paired_and_has_an_interval_over_seeds_and_images(tmp_path):
    results = results_of(tmp_path)
    table = lookup(results).set_index("cell")
    truth, predicted = results.labels("test"), results.lookup
    assert table["lookup"].unique() == pytest.approx([(truth == predicted).mean()])
    for cell in results.cells:
        correct = results.predictions(cell)[0].argmax(-1) == truth
        difference = correct.astype(float) - (truth == predicted)
        measured = estimate(difference, results.clusters)
        row = table.loc[cell]
        assert row["difference"] == pytest.approx(difference.mean())
        assert (row["low"], row["high"]) == pytest.approx(measured.interval())
        assert row["mean"] - row["lookup"] == pytest.approx(row["difference"])
        assert row["metric"] == "test_accuracy"
    assert (table["p_adjusted"] >= table["p"]).all()


@pytest.mark.parametrize(("quality", "verdict"), [("wrong", "above"), ("right", "below")])
def test_verdicts_say_on_which_side_of_the_lookup_a_cell_is(tmp_path, quality, verdict):
    results = results_of(tmp_path)
    classes = np.array(results.manifest.classes)
    labels = classes[(results.labels("test") + (quality == "wrong")) % len(classes)]
    table = lookup(replace_lookup(results, labels))
    significant = table[table["p_adjusted"] < 0.05]
    assert len(significant) >= 2
    assert set(significant["verdict"]) == {verdict}
    assert set(table["verdict"]) <= {verdict, "open"}


def test_a_cell_that_predicts_what_the_lookup_predicts_differs_negligibly(tmp_path):
    results = results_of(tmp_path, criterion={"margin": 0.9})
    assert set(lookup(results)["verdict"]) == {"negligible"}
    narrow = results_of(tmp_path / "narrow", criterion={"margin": 1e-6})
    assert "negligible" not in set(lookup(narrow)["verdict"])


@pytest.mark.parametrize(
    ("metric", "compared"),
    [("test_recall_macro", "test_recall_macro"), ("test_auc_macro", "test_accuracy"), ("test_loss", "test_accuracy")],
)
def test_a_metric_of_probabilities_is_replaced_by_accuracy(tmp_path, metric, compared):
    results = results_of(tmp_path, criterion={"metric": metric, "margin": 0.9})
    table = lookup(results)
    assert set(table["metric"]) == {compared}
    # the margin is that of the metric: of accuracy, one point
    assert ("negligible" in set(table["verdict"])) == (metric == compared)


def test_a_diverged_training_counts_as_chance(tmp_path):
    results = results_of(tmp_path, 0, 1, 2)
    row = lookup(results).iloc[0]
    assert row["mean"] == pytest.approx(1 / 3)
    assert row["replicates"] == 3


@pytest.mark.slow
def test_predictions_of_earlier_versions_have_no_lookup(tmp_path):
    results = replace_lookup(results_of(tmp_path), None)
    assert results.lookup is None
    assert lookup(results).empty
    factories.evaluate(tmp_path, results.manifest)
    assert pd.read_csv(tmp_path / "tables/lookup.csv").empty


def test_the_model_card_has_one_sentence(tmp_path):
    results = results_of(tmp_path)
    row = lookup(results).iloc[0]
    card = Card(results, row["cell"], pd.DataFrame())
    points = f"{100 * abs(row['difference']):.1f} points {'above' if row['difference'] > 0 else 'below'} the lookup"
    assert points in card.lookup()
    assert card.lookup().endswith(f"over seeds and test images): {row['verdict']}.")
