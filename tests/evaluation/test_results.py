"""StudyResults: predictions, curves and tables of a study, by cell and seed."""

import factories
import numpy as np
import pytest

from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.selection import best_cell, validation_scores
from medgrid.training.predictions import read_predictions
from medgrid.utils.errors import MedgridError

AXES = {"model": ["resnet18", "vgg16"], "lr": [0.1, 0.001]}


def written(folder, diverged=(), blocks=None, **study):
    params = factories.small(AXES, models=("resnet18", "vgg16"), replicates=3, **study)
    manifest, jobs = factories.settings_of(params)
    factories.write_study(folder, manifest, jobs, diverged, blocks)
    return manifest


def results_of(folder, **options):
    manifest = written(folder, **options)
    factories.evaluate(folder, manifest)
    return StudyResults(manifest, folder, folder / "images.csv")


def test_predictions_of_a_cell_come_from_all_its_blocks(tmp_path):
    results = results_of(tmp_path, blocks=[[0, 1], [2, 3]])
    assert len(results.blocks) == 8
    cell = results.cells[1]
    probabilities, labels = results.predictions(cell)
    assert probabilities.shape == (3, factories.TESTED, 3)
    first, second = (read_predictions(block) for block in results.blocks_of(cell))
    np.testing.assert_array_equal(probabilities[:2], first.probabilities["test"][0, :, 0])
    np.testing.assert_array_equal(probabilities[2], second.probabilities["test"][0, 0, 0])
    np.testing.assert_array_equal(labels, first.labels["test"])
    assert results.images("validation") == first.images["validation"]
    validation, _ = results.predictions(cell, "validation")
    np.testing.assert_array_equal(validation[:2], first.probabilities["validation"][0, :, 0])
    assert results.description(results.blocks_of(cell)[0])["backbone"]["model"] == "resnet18"


def test_a_missing_training_is_named(tmp_path):
    manifest = written(tmp_path, blocks=[[0, 1]])
    with pytest.raises(MedgridError, match=r"no results of cell resnet18_lr=0\.1 with seed 2"):
        _ = StudyResults(manifest, tmp_path).replicates


def test_values_by_cell_and_seed(tmp_path):
    failed = ("vgg16_lr=0.1", 1)
    results = results_of(tmp_path, diverged=[failed])
    assert results.diverged.stack()[lambda values: values].index.tolist() == [failed]
    assert np.isnan(results.seconds_per_epoch.loc[failed])
    assert results.seconds_per_epoch.notna().to_numpy().sum() == 11
    last = results.of_curves(lambda curves: curves["train_loss"].iloc[-1])
    assert np.isnan(last.loc[failed])
    table = results.table("replicates")
    rows = table[(table["checkpoint"] == "best") & (table["status"] == "ok")].set_index(["cell", "seed"])
    accuracies = results.by_seed("test_accuracy")
    for key, row in rows.iterrows():
        assert accuracies.loc[key] == pytest.approx(row["test_accuracy"], rel=1e-5)
    assert accuracies.loc[failed] == pytest.approx(1 / 3)  # chance
    assert results.curve(*rows.index[0])["epoch"].tolist() == [1, 2, 3, 4]


def test_settings_and_sizes_of_cells(tmp_path):
    results = results_of(tmp_path)
    assert list(results.axis_values) == ["model", "lr"]
    assert results.settings.loc["vgg16_lr=0.1", ["model", "batch_size", "step_size"]].tolist() == ["vgg16", 32, None]
    assert results.network_sizes.index.tolist() == results.cells
    assert results.network_sizes["parameters"].nunique() == 2


@pytest.mark.parametrize("select", ["validation_loss", "validation_accuracy"])
def test_the_best_cell_is_that_of_validation(tmp_path, select):
    results = results_of(tmp_path, select=select, diverged=[("vgg16_lr=0.1", 1)])
    scores = results.validation_scores()
    assert "vgg16_lr=0.1" not in scores.index
    assert results.best_cell() == scores.idxmax()
    assert results.best_cell("vgg16") == "vgg16_lr=0.001"
    cells = results.table("cells")
    values = cells[cells["checkpoint"] == "best"].set_index("cell")[f"{select}_mean"].drop("vgg16_lr=0.1")
    assert results.best_cell() == (values.idxmin() if select.endswith("loss") else values.idxmax())


def test_no_best_cell_without_a_sound_one(tmp_path):
    cells = results_of(tmp_path).table("cells")
    best = cells[cells["checkpoint"] == "best"].set_index("cell")
    assert best_cell(validation_scores(best.assign(diverged=1), "validation_loss")) is None


def test_what_the_split_says_of_the_test_images(tmp_path):
    results = results_of(tmp_path)
    assert len(results.clusters) == len(results.deduplicated) == factories.TESTED
    assert results.deduplicated.sum() == factories.TESTED - 6
    assert results.training_images == factories.IMAGES // 3
    with pytest.raises(ValueError, match="without a split"):
        _ = StudyResults(results.manifest, tmp_path).clusters
