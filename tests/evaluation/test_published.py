"""Published numbers are listed next to the cells with their settings."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.config import Training
from medgrid.config.metrics import SIZES
from medgrid.evaluation.networks import network_of, network_row
from medgrid.evaluation.published import Tables, published
from medgrid.evaluation.statistics import estimate

AXES = {"optimizer": ["sgd", "adam"], "lr": [0.1, 0.001]}


def entry(by, metrics, *rows, source="a table"):
    return {"source": source, "by": by, "metrics": metrics, "rows": [list(row) for row in rows]}


def compared(folder, *entries, axes=AXES, replicates=3, diverged=(), **study):
    params = factories.small(axes, replicates=replicates, published=list(entries), **study)
    manifest, jobs = factories.settings_of(params)
    factories.write_study(folder, manifest, jobs, diverged)
    factories.evaluate(folder, manifest)
    return pd.read_csv(folder / "tables/published.csv", keep_default_na=False, na_values=[""])


def test_a_number_is_listed_with_the_cell_of_its_settings(tmp_path):
    """Settings that are fixed in this study pick cells as well as its axes do."""
    table = compared(tmp_path, entry(["mode", "optimizer", "lr"], ["test_accuracy"], ["full", "adam", 0.1, 0.9]))
    (row,) = table.to_dict("records")
    cells = pd.read_csv(tmp_path / "tables/cells.csv").set_index(["cell", "checkpoint"])
    best, last = (cells.loc[("adam_lr=0.1", checkpoint)] for checkpoint in ("best", "last"))
    assert row["cell"] == "adam_lr=0.1"
    assert row["setting"] == "full, adam, learning rate 0.1"
    assert row["ours"] == pytest.approx(best["test_accuracy_mean"], rel=1e-5)
    assert [row["low"], row["high"]] == pytest.approx(
        [best["test_accuracy_low"], best["test_accuracy_high"]], rel=1e-5
    )
    assert row["difference"] == pytest.approx(row["ours"] - 0.9)
    assert row["ours_last"] == pytest.approx(last["test_accuracy_mean"], rel=1e-5)
    assert row["status"] == "ok"
    assert row["weights"] == "random"
    assert row["data"] == "synthetic images"


def test_inside_says_whether_the_interval_holds_the_number(tmp_path):
    first = compared(tmp_path / "1", entry(["optimizer", "lr"], ["test_accuracy"], ["sgd", 0.1, 0.5]))
    low, high = first.loc[0, ["predicted_low", "predicted_high"]]
    # wider than the interval of our mean over seeds
    assert low < first.loc[0, "low"] < first.loc[0, "high"] < high
    numbers = [(low + high) / 2, low - 0.001, high + 0.001]
    rows = [["sgd", 0.1, float(number)] for number in numbers]
    table = compared(tmp_path / "2", entry(["optimizer", "lr"], ["test_accuracy"], *rows))
    assert table["inside"].tolist() == ["yes", "no", "no"]
    assert set(table["predicted_over"]) == {"runs and test images"}


@pytest.mark.slow
def test_a_mean_of_many_runs_on_many_images_is_predicted_better(tmp_path):
    row, widths = ["sgd", 0.1, 0.5], []
    for number, of in enumerate(({}, {"runs": 5}, {"runs": 5, "test_images": 100_000})):
        given = entry(["optimizer", "lr"], ["test_accuracy"], row) | of
        table = compared(tmp_path / str(number), given, replicates=8)
        widths.append(table.loc[0, "predicted_high"] - table.loc[0, "predicted_low"])
    assert widths[0] > widths[1] >= widths[2]
    kappa = compared(tmp_path / "kappa", entry(["optimizer", "lr"], ["test_kappa"], row))
    assert kappa["predicted_over"].tolist() == ["runs"]


def test_without_an_interval_nothing_is_inside_or_outside(tmp_path):
    table = compared(tmp_path, entry(["optimizer", "lr"], ["test_accuracy"], ["sgd", 0.1, 0.5]), replicates=1)
    assert table["inside"].isna().all()
    assert table["ours"].notna().all()


def test_what_was_not_run_or_not_printed(tmp_path):
    """A cell outside of the grid keeps its row, a number that the document lacks does not."""
    rows = ["rmsprop", 0.1, 0.7, None], ["sgd", 0.1, None, 0.4]
    table = compared(tmp_path, entry(["optimizer", "lr"], ["test_accuracy", "test_kappa"], *rows))
    assert table[["setting", "metric", "status"]].to_numpy().tolist() == [
        ["rmsprop, learning rate 0.1", "test_accuracy", "not run"],
        ["sgd, learning rate 0.1", "test_kappa", "ok"],
    ]
    assert np.isnan(table.loc[0, "ours"])
    assert np.isnan(table.loc[0, "difference"])
    assert table.loc[0, "published"] == 0.7


def test_settings_that_several_cells_share_give_a_row_for_each(tmp_path):
    table = compared(tmp_path, entry(["optimizer"], ["test_accuracy"], ["sgd", 0.5]))
    assert table["cell"].tolist() == ["sgd_lr=0.1", "sgd_lr=0.001"]


def test_an_absent_setting_picks_the_cells_without_it(tmp_path):
    axes = {"scheduler": ["step"], "step_size": [2, 3]}
    rows = [["step", 3, 0.5], ["cosine", None, 0.6]]
    table = compared(
        tmp_path, entry(["scheduler", "step_size"], ["test_accuracy"], *rows), axes=axes,
        extra=[{"scheduler": "cosine"}],
    )  # fmt: skip
    assert table["cell"].tolist() == ["scheduler=step_step_size=3", "scheduler=cosine"]
    assert table["setting"].tolist() == ["scheduler step, step size 3", "scheduler cosine"]


def test_numbers_of_a_class(tmp_path):
    table = compared(
        tmp_path, entry(["optimizer", "lr", "class"], ["precision", "support"], ["sgd", 0.1, "b", 0.5, 20])
    )
    per_class = pd.read_csv(tmp_path / "tables/per_class.csv")
    rows = per_class[(per_class["cell"] == "sgd_lr=0.1") & (per_class["class"] == "b")]
    rows = rows[rows["checkpoint"] == "best"]
    assert table["class"].tolist() == ["b", "b"]
    assert table.loc[0, "ours"] == pytest.approx(rows["precision"].mean(), rel=1e-5)
    assert table.loc[1, "ours"] == 20
    absent = compared(tmp_path / "2", entry(["optimizer", "class"], ["f1"], ["rmsprop", "b", 0.5]))
    assert absent["status"].tolist() == ["not run"]


def test_sizes_of_networks_are_exact_and_listed_once(tmp_path):
    """All cells share a network: its size is listed once, to the last parameter, without an interval."""
    table = compared(tmp_path, entry(["model"], ["parameters", "conv"], ["resnet18", 15244177, 13]))
    networks = pd.read_csv(tmp_path / "networks/networks.csv")
    assert table["metric"].tolist() == ["parameters", "conv"]
    assert table["published"].tolist() == [15244177, 13]
    assert table.loc[0, "ours"] == networks.loc[0, "parameters"] > 1e6
    assert table.loc[1, "difference"] == 0
    assert table[["cell", "low", "inside"]].isna().all(axis=None)


def test_the_network_of_a_training_has_its_mode_depth_and_outputs():
    networks = pd.DataFrame(
        {
            "model": ["a"] * 4, "mode": ["full", "last_layers", "last_layers", "full"], "unfrozen": [0, 3, 12, 0],
            "outputs": [2, 2, 2, 1], "parameters": [1, 2, 3, 4],
        }
    )  # fmt: skip
    shared = {"model": "a", "optimizer": "adam", "epochs": 1, "batch_size": 1, "lr": 0.1}
    training = Training(**shared, mode="last_layers", unfrozen=12, loss="cross_entropy")
    assert network_row(networks, training, ["x", "y"])["parameters"] == 3
    one_logit = Training(**shared, mode="full", loss="binary_cross_entropy")
    assert network_row(networks, one_logit, ["x", "y"])["parameters"] == 4
    assert network_row(networks, one_logit.model_copy(update={"model": "b"}), ["x", "y"]) is None


def test_a_diverged_cell_says_so(tmp_path):
    failed = tuple(("sgd_lr=0.1", seed) for seed in range(3))
    table = compared(
        tmp_path, entry(["optimizer", "lr"], ["test_accuracy"], ["sgd", 0.1, 0.5]), diverged=failed
    )  # fmt: skip
    assert table["status"].tolist() == ["diverged"]
    assert table["ours"].tolist() == [pytest.approx(1 / 3, rel=1e-5)]  # chance


def test_every_study_of_params_finds_what_it_prints(params):
    """The documents' own numbers: each belongs to a cell of its study's full grid."""
    params = params | {"source": "synthetic"}
    for key in params["studies"]:
        manifest, _ = factories.settings_of(params, key)
        ids = [cell["id"] for cell in manifest.cells]
        metrics = {metric for entry in manifest.published for metric in entry.metrics}
        cells = pd.DataFrame({"cell": ids * 2, "checkpoint": ["best"] * len(ids) + ["last"] * len(ids)})
        cells = cells.assign(weights="", diverged=0, replicates=1, test_images=100)
        cells = cells.assign(**{f"{metric}_mean": 0.5 for metric in metrics})
        names = [
            (cell, name, checkpoint) for cell in ids for name in manifest.classes for checkpoint in ("best", "last")
        ]
        per_class = pd.DataFrame(names, columns=["cell", "class", "checkpoint"])
        per_class = per_class.assign(weights="", status="ok", precision=0.5, recall=0.5, f1=0.5)
        trainings = manifest.trainings.values()
        rows = [network_of(training, manifest.classes) | dict.fromkeys(SIZES, 1) for training in trainings]
        table = published(manifest, Tables(cells, per_class, pd.DataFrame(rows), lambda *_: estimate(np.ones(3))))
        assert table.empty == (not manifest.published)
        # the first studies of a block hold the document's whole grid, the variants parts of it
        if key in ("brain_tumor_transfer", "histopathology_batch", "stroke_transfer", "pneumonia_loss"):
            assert (table["status"] == "ok").all(), key
