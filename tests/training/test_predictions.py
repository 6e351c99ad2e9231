"""predictions.npz: what is written is read back, part by part, in the order of jobs and of seeds."""

from dataclasses import fields

import numpy as np
import pytest

from medgrid.training.predictions import CHECKPOINTS, Predictions, job_blocks, read_predictions, write_predictions
from medgrid.utils.errors import MedgridError

CELLS, SEEDS, CLASSES, IMAGES = ["lr=0.1", "lr=0.01"], [0, 3, 4], ["a", "b"], 5


def predictions(unlabelled: bool = False) -> Predictions:
    rng = np.random.default_rng(0)
    shape = (len(CELLS), len(SEEDS))
    drawn = {part: rng.random((*shape, 2, IMAGES, 2), np.float32) for part in ("validation", "test")}
    if unlabelled:
        drawn["unlabelled"] = rng.random((*shape, 4, 2), np.float32)
    return Predictions(
        CELLS,
        SEEDS,
        CLASSES,
        best_epoch=rng.integers(0, 9, shape),
        epochs=np.full(shape, 9),
        diverged_at=rng.integers(0, 2, shape),
        seconds=rng.random(shape, np.float32),
        penalty=rng.random((*shape, len(CHECKPOINTS)), np.float32),
        probabilities=drawn,
        images={part: [f"{part}/{i}.png" for i in range(array.shape[-2])] for part, array in drawn.items()},
        labels={part: rng.integers(0, 2, IMAGES) for part in ("validation", "test")},
    )


@pytest.mark.parametrize("unlabelled", [False, True])
def test_predictions_are_read_back(unlabelled, tmp_path):
    written = predictions(unlabelled)
    write_predictions(tmp_path, written)
    read = read_predictions(tmp_path)
    for field in fields(Predictions):
        ours, theirs = getattr(read, field.name), getattr(written, field.name)
        if isinstance(theirs, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
        elif field.name in ("probabilities", "labels"):
            assert set(ours) == set(theirs)
            assert all(ours[part].dtype == theirs[part].dtype for part in theirs)
            assert all(np.array_equal(ours[part], theirs[part]) for part in theirs)
        else:
            assert (dict(ours) if field.name == "images" else ours) == theirs
    assert (read.unlabelled_probabilities is not None) == unlabelled


def test_only_the_parts_that_are_asked_for_are_read(tmp_path, monkeypatch):
    write_predictions(tmp_path, predictions())
    names, read_array = [], np.lib.npyio.NpzFile.__getitem__

    def noted(file, name):
        names.append(name)
        return read_array(file, name)

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", noted)
    read = read_predictions(tmp_path)
    assert not any("_probabilities" in name or "_images" in name for name in names)
    for _ in range(2):
        assert read.probabilities["test"].shape == (2, 3, 2, IMAGES, 2)
    assert [name for name in names if name.endswith("_probabilities")] == ["test_probabilities"]
    assert len(read.probabilities) == 2
    with pytest.raises(KeyError):
        read.probabilities["train"]


def test_blocks_come_in_the_order_of_jobs_and_of_seeds(tmp_path):
    for name in ("b/seeds-10-11", "b/seeds-0-4", "b/seeds-5-9", "b/.seeds-12~host~1", "a/seeds-3", "c/seeds-0"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
    blocks = job_blocks(tmp_path, ["b", "a"])
    assert [str(block.relative_to(tmp_path / "jobs")) for block in blocks] == [
        "b/seeds-0-4",
        "b/seeds-5-9",
        "b/seeds-10-11",
        "a/seeds-3",
    ]
    with pytest.raises(MedgridError, match="jobs/d has no results"):
        job_blocks(tmp_path, ["c", "d"])
