"""Tables agree with the training jobs, however a cell's seeds are divided into blocks."""

import re

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.data import HELD_OUT
from medgrid.evaluation.metrics import interval
from medgrid.evaluation.tables import mean_curves
from medgrid.training.predictions import read_predictions
from medgrid.utils.errors import MedgridError

AXES = {"optimizer": ["sgd", "adam"], "lr": [0.1, 0.001]}
TABLES = (
    "cells", "replicates", "per_class", "confusion", "curves", "published", "intervals", "comparisons", "lookup",
    "interactions", "simple_effects", "batch_sizes", "expected_best", "improvement", "time_to_target",
)  # fmt: skip


def tables_of(folder, params, **options):
    manifest, jobs = factories.settings_of(params)
    factories.write_study(folder, manifest, jobs, **options)
    factories.evaluate(folder, manifest)
    return manifest, jobs


def predictions_of(folder, name):
    """Predictions and curves of the only block of a job."""
    (block,) = (folder / "jobs" / name).iterdir()
    return read_predictions(block), pd.read_csv(block / "curves.csv")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A study with a penalty, whose trainings stop early."""
    folder = tmp_path_factory.mktemp("tables")
    models = {"plain": {"backbone": "resnet18", "layers": [{"pool": "global_average"}, {"dense": 8, "l2": 0.01}]}}
    fixed = {"model": "plain", "mode": "full", "loss": "cross_entropy", "epochs": 10, "batch_size": 32, "patience": 3}
    params = factories.small(AXES, models=("resnet18",), replicates=4) | {"run": ["odd"]}
    params["studies"]["odd"] |= {"models": models, "fixed": fixed}
    return folder, *tables_of(folder, params)


def test_replicates_name_what_the_training_measured(written):
    folder, _, jobs = written
    table = pd.read_csv(folder / "tables/replicates.csv")
    assert len(table) == 4 * 4 * 2
    for name in jobs:
        predictions, curves = predictions_of(folder, name)
        for i, cell in enumerate(predictions.cells):
            for j, seed in enumerate(predictions.seeds):
                epochs = {"best": predictions.best_epoch[i, j], "last": predictions.epochs[i, j]}
                for k, (checkpoint, epoch) in enumerate(epochs.items()):
                    chosen = (table["cell"] == cell) & (table["seed"] == seed) & (table["checkpoint"] == checkpoint)
                    (row,) = table[chosen].to_dict("records")
                    at = (curves["cell"] == cell) & (curves["seed"] == seed) & (curves["epoch"] == epoch)
                    (curve,) = curves[at].to_dict("records")
                    assert row["train_loss"] == pytest.approx(curve["train_loss"], rel=1e-5)
                    assert row["train_accuracy"] == pytest.approx(curve["train_accuracy"], rel=1e-5)
                    assert row["epochs"] == epochs["last"]
                    assert row["seconds"] == pytest.approx(predictions.seconds[i, j], rel=1e-5)
                    assert row["penalty"] == predictions.penalty[i, j, k] == 0.25
                    assert row["test_loss_with_penalty"] == pytest.approx(row["test_loss"] + 0.25, rel=1e-5)


def test_cells_are_means_and_intervals_of_the_replicates(written):
    folder, *_ = written
    replicates, cells = pd.read_csv(folder / "tables/replicates.csv"), pd.read_csv(folder / "tables/cells.csv")
    for row in cells.to_dict("records"):
        rows = replicates[(replicates["cell"] == row["cell"]) & (replicates["checkpoint"] == row["checkpoint"])]
        for metric in ("test_accuracy", "test_loss_with_penalty", "train_loss", "train_accuracy", "penalty"):
            expected = interval(rows[metric].to_numpy(), metric)
            values = [row[f"{metric}_{statistic}"] for statistic in ("mean", "low", "high")]
            assert values == pytest.approx(expected, rel=1e-4), metric
        assert row["epochs_mean"] == pytest.approx(rows["epochs"].mean())
        assert row["seconds_mean"] == pytest.approx(rows["seconds"].mean(), rel=1e-5)
        assert "seconds_low" not in row


def test_curves_say_how_many_seeds_go_on(written):
    folder, *_ = written
    replicates, curves = pd.read_csv(folder / "tables/replicates.csv"), pd.read_csv(folder / "tables/curves.csv")
    assert replicates.groupby("cell")["epochs"].nunique().max() > 1
    for cell, rows in curves.groupby("cell"):
        lengths = replicates[(replicates["cell"] == cell) & (replicates["checkpoint"] == "best")]["epochs"]
        assert rows["epoch"].tolist() == list(range(1, lengths.max() + 1))
        assert rows["seeds"].tolist() == [(lengths >= epoch).sum() for epoch in rows["epoch"]]


def test_a_mean_curve_by_hand():
    rows = [("a", 0, 1, 1.0), ("a", 1, 1, 3.0), ("a", 1, 2, 5.0)]
    curves = pd.DataFrame(rows, columns=["cell", "seed", "epoch", "train_loss"])
    for name in ("train_accuracy", "validation_loss", "validation_accuracy"):
        curves[name] = curves["train_loss"]
    means = mean_curves(curves)
    assert means["seeds"].tolist() == [2, 1]
    assert means["train_loss_mean"].tolist() == [2, 5]
    assert means["train_loss_min"].tolist() == [1, 5]


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([[0], [1], [2]], marks=pytest.mark.slow),
        pytest.param([[0, 1], [2]], marks=pytest.mark.slow),
        pytest.param([[0, 1, 2, 3]], marks=pytest.mark.slow),
        [[0, 1, 2], [2, 3]],
    ],
)
def test_tables_do_not_depend_on_the_blocks_of_seeds(tmp_path, blocks):
    """Seeds that the study does not ask for (any more) do not count; the jobs may have any order."""
    manifest, jobs = factories.settings_of(factories.small(AXES, replicates=3))
    factories.write_study(tmp_path / "one", manifest, jobs)
    factories.evaluate(tmp_path / "one", manifest)
    factories.write_study(tmp_path / "other", manifest, jobs, blocks=blocks)
    factories.evaluate(tmp_path / "other", manifest.model_copy(update={"jobs": manifest.jobs[::-1]}))
    files = {path.name for path in (tmp_path / "one/tables").iterdir()}
    assert files == {f"{name}.csv" for name in TABLES} | {"claims.json"}
    for file in files:
        one, other = ((tmp_path / folder / "tables" / file).read_text() for folder in ("one", "other"))
        # blocks of seeds show how often a study was judged
        assert re.sub('"judgements": .', "", one) == re.sub('"judgements": .', "", other), file
    cells = pd.read_csv(tmp_path / "other/tables/cells.csv")
    assert cells["cell"].drop_duplicates().tolist() == [cell["id"] for cell in manifest.cells]


def test_cells_and_their_settings_follow_the_grid(tmp_path):
    rates = [1e-5, 1.0000001e-5, 0.1]
    manifest, _ = tables_of(tmp_path, factories.small({"lr": rates}))
    cells = pd.read_csv(tmp_path / "tables/cells.csv", dtype=str)
    assert cells["cell"].drop_duplicates().tolist() == [cell["id"] for cell in manifest.cells]
    # rates that six digits do not tell apart
    assert cells["lr"].drop_duplicates().tolist() == ["1e-05", "1.0000001e-05", "0.1"]


def test_a_setting_that_a_cell_lacks_is_an_empty_field(tmp_path):
    extra = [{"scheduler": "multistep", "milestones": [2, 3]}]
    params = factories.small({"scheduler": ["step"], "step_size": [2, 3]}, extra=[*extra, {"scheduler": "cosine"}])
    params["studies"]["odd"]["extra"][0]["milestones"] = [[2, 3]]
    tables_of(tmp_path, params)
    cells = pd.read_csv(tmp_path / "tables/cells.csv", dtype=str, keep_default_na=False)
    cells = cells[cells["checkpoint"] == "best"]
    assert cells["step_size"].tolist() == ["2", "3", "", ""]
    assert cells["milestones"].tolist() == ["", "", "2-3", ""]


def test_what_diverged_has_no_numbers(tmp_path):
    params = factories.small({"lr": [0.1, 0.001]}, replicates=3)
    tables_of(tmp_path, params, diverged=(("lr=0.1", 0), ("lr=0.1", 2)))
    replicates = pd.read_csv(tmp_path / "tables/replicates.csv")
    failed = (replicates["cell"] == "lr=0.1") & replicates["seed"].isin([0, 2])
    assert (replicates.loc[failed, "status"] == "diverged in epoch 1").all()
    assert (replicates.loc[~failed, "status"] == "ok").all()
    for name in ("test_accuracy", "train_loss", "test_loss_with_penalty", "temperature", "test_ece_scaled"):
        assert replicates.loc[failed, name].isna().all()
        assert replicates.loc[~failed, name].notna().all()
    cells = pd.read_csv(tmp_path / "tables/cells.csv")
    assert cells["diverged"].tolist() == [2, 2, 0, 0]
    survivor = replicates[(replicates["cell"] == "lr=0.1") & (replicates["seed"] == 1)].iloc[0]
    # chance, as in claims; what no claim uses is of the survivor
    assert cells["test_accuracy_mean"].iloc[0] == pytest.approx((survivor["test_accuracy"] + 2 / 3) / 3, rel=1e-5)
    assert cells["test_loss_mean"].iloc[0] == pytest.approx((survivor["test_loss"] + 2 * np.log(3)) / 3, rel=1e-5)
    assert cells["test_kappa_mean"].iloc[0] == pytest.approx(survivor["test_kappa"])
    intervals = pd.read_csv(tmp_path / "tables/intervals.csv").query("cell == 'lr=0.1'").set_index("metric")
    assert intervals["mean"]["test_accuracy"] == pytest.approx(cells["test_accuracy_mean"].iloc[0], rel=1e-5)


def test_a_training_that_failed_late_counts_as_chance(tmp_path):
    """Its best epoch was before it failed, and has numbers; they belong to no finished training."""
    params = factories.small({"lr": [0.1, 0.001]}, replicates=3)
    manifest, jobs = factories.settings_of(params)
    factories.write_study(tmp_path, manifest, jobs)
    file = next((tmp_path / "jobs" / manifest.jobs[0]).iterdir()) / "predictions.npz"
    with np.load(file) as arrays:
        content = dict(arrays)
    content["diverged_at"][0] = [3, 0, 0]
    np.savez(file, **content)
    factories.evaluate(tmp_path, manifest)
    replicates = pd.read_csv(tmp_path / "tables/replicates.csv").query("cell == 'lr=0.1' and checkpoint == 'best'")
    assert replicates["status"].tolist() == ["diverged in epoch 3", "ok", "ok"]
    assert replicates["test_accuracy"].notna().all()
    cells = pd.read_csv(tmp_path / "tables/cells.csv")
    assert cells.loc[0, "diverged"] == 1
    finished = replicates["test_accuracy"].iloc[1:].sum()
    assert cells.loc[0, "test_accuracy_mean"] == pytest.approx((finished + 1 / 3) / 3, rel=1e-5)


def test_one_replicate_has_no_interval(tmp_path):
    tables_of(tmp_path, factories.small({"lr": [0.1, 0.01]}, replicates=1))
    cells = pd.read_csv(tmp_path / "tables/cells.csv")
    assert cells["test_accuracy_low"].isna().all()
    assert cells["test_accuracy_mean"].notna().all()


def test_artificial_jobs_hold_what_real_ones_do(written):
    """Names and shapes, as `medgrid.training.predictions` documents them."""
    folder, _, jobs = written
    predictions, _ = predictions_of(folder, next(iter(jobs)))
    shape = len(predictions.cells), len(predictions.seeds)
    for name in ("best_epoch", "diverged_at", "epochs", "seconds"):
        assert getattr(predictions, name).shape == shape
    assert predictions.penalty.shape == (*shape, 2)
    for part in HELD_OUT:
        images, classes = len(predictions.images[part]), len(predictions.classes)
        assert predictions.probabilities[part].shape == (*shape, 2, images, classes)


def test_test_numbers_are_of_all_images_and_of_those_without_a_near_duplicate(written):
    folder, _, jobs = written
    table = pd.read_csv(folder / "tables/replicates.csv")
    split = pd.read_csv(folder / "images.csv", keep_default_na=False)
    near_duplicates = set(split.loc[split["near_duplicate"] == "yes", "path"])
    assert len(near_duplicates) == 6
    assert (table["test_images"] == 60).all()
    assert (table["test_images_deduplicated"] == 54).all()
    for name in jobs:
        predictions, _ = predictions_of(folder, name)
        kept = [i for i, path in enumerate(predictions.images["test"]) if path not in near_duplicates]
        for i, cell in enumerate(predictions.cells):
            rows = table[(table["cell"] == cell) & (table["checkpoint"] == "last")].sort_values("seed")
            correct = predictions.probabilities["test"][i, :, 1].argmax(-1) == predictions.labels["test"]
            assert rows["test_accuracy"].tolist() == pytest.approx(correct.mean(1), rel=1e-5)
            assert rows["test_accuracy_deduplicated"].tolist() == pytest.approx(correct[:, kept].mean(1), rel=1e-5)
    cells = pd.read_csv(folder / "tables/cells.csv")
    assert (cells["test_images_deduplicated"] == 54).all()
    assert cells["test_accuracy_deduplicated_low"].notna().all()


def test_the_temperature_is_that_of_validation(written):
    """Scaled test numbers, computed from the table's temperature in another way."""
    folder, _, jobs = written
    table = pd.read_csv(folder / "tables/replicates.csv").set_index(["cell", "seed", "checkpoint"])
    assert table["temperature"].nunique() > 8
    predictions, _ = predictions_of(folder, next(iter(jobs)))
    probabilities, labels = predictions.probabilities["test"][0, 1, 1], predictions.labels["test"]
    row = table.loc[(predictions.cells[0], predictions.seeds[1], "last")]
    powers = probabilities ** (1 / row["temperature"])
    scaled = powers / powers.sum(1, keepdims=True)
    assert row["test_loss_scaled"] == pytest.approx(-np.log(scaled[np.arange(60), labels]).mean(), rel=1e-4)
    brier = ((probabilities - np.eye(3)[labels]) ** 2).sum(1).mean()
    assert row["test_brier"] == pytest.approx(brier, rel=1e-4)


def test_intervals_end_where_the_metric_does(tmp_path):
    """Two seeds: the t interval is 12.7 standard errors wide on either side."""
    tables_of(tmp_path, factories.small({"lr": [0.1, 0.01, 0.001]}, replicates=2))
    cells = pd.read_csv(tmp_path / "tables/cells.csv")
    assert cells["test_accuracy_high"].max() == 1
    assert cells["test_loss_low"].min() == 0
    assert cells["test_loss_high"].max() > 1


def test_without_a_test_image_free_of_near_duplicates(tmp_path):
    manifest, jobs = factories.settings_of(factories.small({"lr": [0.1]}))
    factories.write_study(tmp_path, manifest, jobs)
    split = pd.read_csv(tmp_path / "images.csv", keep_default_na=False)
    split.assign(near_duplicate="yes").to_csv(tmp_path / "images.csv", index=False)
    factories.evaluate(tmp_path, manifest)
    cells = pd.read_csv(tmp_path / "tables/cells.csv")
    assert (cells["test_images_deduplicated"] == 0).all()
    assert cells["test_accuracy_deduplicated_mean"].isna().all()
    assert cells["test_accuracy_mean"].notna().all()


def test_a_split_without_a_test_image_is_named(tmp_path):
    manifest, jobs = factories.settings_of(factories.small({"lr": [0.1]}))
    factories.write_study(tmp_path, manifest, jobs)
    split = pd.read_csv(tmp_path / "images.csv", keep_default_na=False)
    split[split["path"] != "8.png"].to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(MedgridError, match=r"images\.csv has no test image 8\.png"):
        factories.evaluate(tmp_path, manifest)
    assert not (tmp_path / "tables").exists()
