"""Files for a competition: one network's predictions, under the competition's own ids."""

import fake
import numpy as np
import pandas as pd
import pytest

from medgrid.errors import MedgridError
from medgrid.evaluation.submissions import identifiers, write_submissions

CONTEST = {
    "folder": None, "sha256": None, "kaggle": {"handle": "some-contest"}, "unlabelled": r"^test/(?P<id>\w+)\.tif$",
}  # fmt: skip


def submitted(folder, pack="cell", diverged=(), step=1):
    params = fake.small({"lr": [0.1, 0.01]}, replicates=3, classes=("no", "yes"), dataset=CONTEST, pack=pack)
    settings, packs = fake.settings_of(params, "odd")
    fake.write_study(folder, settings, packs, diverged)
    write_submissions(settings | {"packs": settings["packs"][::step]}, str(folder))
    return packs


def pack_of(folder, packs, cell, seed):
    (name,) = (n for n, pack in packs.items() if pack["cells"][0]["id"] == cell and seed in pack["seeds"])
    predictions = np.load(folder / "packs" / name / "predictions.npz")
    return predictions["unlabelled_probabilities"][0, packs[name]["seeds"].index(seed), :, -1]


@pytest.mark.parametrize(("pack", "step"), [("cell", 1), ("replicate", 1), ("replicate", -1)])
def test_a_file_holds_the_first_replicate_s_probability_of_the_last_class(pack, step, tmp_path):
    """In whatever order the packs come that hold a cell's replicates."""
    packs = submitted(tmp_path, pack, step=step)
    assert {path.name for path in (tmp_path / "submissions").iterdir()} == {"lr=0.1.csv", "lr=0.01.csv"}
    table = pd.read_csv(tmp_path / "submissions" / "lr=0.1.csv", dtype={"id": str})
    assert table.columns.tolist() == ["id", "label"]
    assert table["id"].tolist() == [f"{i:040x}" for i in range(10)]
    np.testing.assert_array_equal(table["label"].astype(np.float32), pack_of(tmp_path, packs, "lr=0.1", 0))


def test_a_diverged_replicate_is_not_handed_in(tmp_path, capsys):
    packs = submitted(tmp_path, diverged=(("lr=0.1", 0), *(("lr=0.01", seed) for seed in range(3))))
    table = pd.read_csv(tmp_path / "submissions" / "lr=0.1.csv")
    np.testing.assert_array_equal(table["label"].astype(np.float32), pack_of(tmp_path, packs, "lr=0.1", 1))
    assert not (tmp_path / "submissions" / "lr=0.01.csv").exists()
    assert "every replicate of lr=0.01 diverged" in capsys.readouterr().out


def test_an_id_that_stands_for_two_images_is_an_error():
    with pytest.raises(MedgridError, match="have the id 7"):
        identifiers(np.array(["a/7.tif", "b/7.tif"]), r"(?P<id>\w+)\.tif$")


def test_ids_are_what_the_pattern_says():
    found = identifiers(np.array(["test/img_000.png", "test/img_001.png"]), r"^test/img_(?P<id>\d+)\.png$", "slide")
    assert found.tolist() == ["000", "001"]
    assert found.name == "slide"
