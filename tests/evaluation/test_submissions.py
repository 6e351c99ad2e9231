"""Files for a competition: one network's predictions, under the competition's own ids."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.evaluation.submissions import identifiers, write_submissions
from medgrid.training.predictions import read_predictions
from medgrid.utils.errors import MedgridError


def submitted(folder, job="cell", diverged=(), step=1):
    params = factories.small(
        {"lr": [0.1, 0.01]}, replicates=3, classes=("no", "yes"), dataset=factories.CONTEST, one_job_per=job
    )
    manifest, jobs = factories.settings_of(params)
    factories.write_study(folder, manifest, jobs, diverged)
    write_submissions(manifest.model_copy(update={"jobs": manifest.jobs[::step]}), str(folder))
    return jobs


def job_of(folder, jobs, cell, seed):
    (name,) = (name for name, job in jobs.items() if job["cells"][0]["id"] == cell)
    for block in (folder / "jobs" / name).iterdir():
        predictions = read_predictions(block)
        if seed in predictions.seeds:
            return predictions.unlabelled_probabilities[0, predictions.seeds.index(seed), :, -1]
    raise AssertionError(seed)


@pytest.mark.parametrize(("job", "step"), [("cell", 1), ("replicate", 1), ("replicate", -1)])
def test_a_file_holds_the_first_replicate_s_probability_of_the_last_class(job, step, tmp_path):
    """In whatever order the jobs come that hold a cell's replicates."""
    jobs = submitted(tmp_path, job, step=step)
    assert {path.name for path in (tmp_path / "submissions").iterdir()} == {"lr=0.1.csv", "lr=0.01.csv"}
    table = pd.read_csv(tmp_path / "submissions" / "lr=0.1.csv", dtype={"id": str})
    assert table.columns.tolist() == ["id", "label"]
    assert table["id"].tolist() == [f"{i:040x}" for i in range(10)]
    np.testing.assert_array_equal(table["label"].astype(np.float32), job_of(tmp_path, jobs, "lr=0.1", 0))


def test_a_diverged_replicate_is_not_handed_in(tmp_path, capsys):
    jobs = submitted(tmp_path, diverged=(("lr=0.1", 0), *(("lr=0.01", seed) for seed in range(3))))
    table = pd.read_csv(tmp_path / "submissions" / "lr=0.1.csv")
    np.testing.assert_array_equal(table["label"].astype(np.float32), job_of(tmp_path, jobs, "lr=0.1", 1))
    assert not (tmp_path / "submissions" / "lr=0.01.csv").exists()
    assert "all replicates of lr=0.01 diverged" in capsys.readouterr().out


def test_an_id_that_stands_for_two_images_is_an_error():
    with pytest.raises(MedgridError, match="have the id 7"):
        identifiers(["a/7.tif", "b/7.tif"], r"(?P<id>\w+)\.tif$")


def test_ids_are_what_the_pattern_says():
    ids = identifiers(["test/img_000.png", "test/img_001.png"], r"^test/img_(?P<id>\d+)\.png$", "slide")
    assert ids.tolist() == ["000", "001"]
    assert ids.name == "slide"
