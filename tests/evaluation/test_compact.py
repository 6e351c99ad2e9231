"""Predictions in one small file: what is kept exactly, and how far the rest is rounded."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.evaluation.compact import FILE, JOB_TEXTS, CompactPredictions, from_log16, to_log16, write_compact
from medgrid.training.predictions import PER_TRAINING, job_blocks, read_predictions
from medgrid.utils.errors import MedgridError


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Folder and manifest of a study with several jobs and blocks of seeds, one training diverged."""
    folder = tmp_path_factory.mktemp("study") / "odd"
    params = factories.small({"lr": [0.1, 0.01], "batch_size": [16, 32]}, replicates=3)
    manifest, jobs = factories.settings_of(params)
    diverged = (manifest.cells[0]["id"], 1)
    factories.write_study(folder, manifest, jobs, (diverged,), [[0, 1], [2]])
    write_compact(manifest, str(folder), str(folder / "images.csv"), str(folder / FILE))
    return folder, manifest


@pytest.mark.parametrize("concentration", [0.02, 0.5, 100.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_rounding_keeps_the_predicted_class(concentration, classes):
    rng = np.random.default_rng(0)
    exact = rng.dirichlet([concentration] * classes, (40, 500)).astype(np.float32)
    rounded = from_log16(to_log16(exact))
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded.argmax(-1), exact.argmax(-1))
    np.testing.assert_allclose(rounded, exact, atol=1e-3)
    np.testing.assert_allclose(rounded.sum(-1), 1, atol=1e-6)


def test_rounding_keeps_ties_certainty_and_diverged_trainings():
    exact = np.array([[0.5, 0.5], [0.50001, 0.49999], [0.49999, 0.50001], [1, 0], [np.nan, np.nan]], np.float32)
    rounded = from_log16(to_log16(exact))
    assert rounded[:4].argmax(-1).tolist() == [0, 0, 1, 0]
    assert rounded[3].tolist() == [1, 0]
    assert np.isnan(rounded[4]).all()


def test_everything_but_probabilities_is_exact(study, tmp_path):
    folder, manifest = study
    CompactPredictions(folder / FILE).unpack(tmp_path)
    originals, copies = job_blocks(folder, manifest.jobs), job_blocks(tmp_path, manifest.jobs)
    assert [path.relative_to(folder) for path in originals] == [path.relative_to(tmp_path) for path in copies]
    for original, copy in zip(originals, copies, strict=True):
        for name in JOB_TEXTS:
            assert (copy / name).read_text() == (original / name).read_text()
        exact, rounded = read_predictions(original), read_predictions(copy)
        assert (rounded.cells, rounded.seeds, rounded.classes) == (exact.cells, exact.seeds, exact.classes)
        for name in PER_TRAINING:
            np.testing.assert_array_equal(getattr(rounded, name), getattr(exact, name))
        for part in ("validation", "test"):
            assert list(rounded.images[part]) == list(exact.images[part])
            np.testing.assert_array_equal(rounded.labels[part], exact.labels[part])
            np.testing.assert_allclose(rounded.probabilities[part], exact.probabilities[part], atol=5e-4)


def test_the_split_keeps_what_the_evaluation_reads(study, tmp_path):
    folder, _ = study
    split = CompactPredictions(folder / FILE).unpack(tmp_path)
    full, part = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (folder / "images.csv", split))
    assert (part["part"] == "train").sum() == (full["part"] == "train").sum()
    columns = ["path", "cluster", "near_duplicate", "lookup"]
    tables = [table.loc[table["part"] == "test", columns] for table in (part, full)]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in tables))


def test_the_file_is_small(study):
    folder, manifest = study
    jobs = sum(file.stat().st_size for block in job_blocks(folder, manifest.jobs) for file in block.glob("*.npz"))
    assert (folder / FILE).stat().st_size < jobs / 2


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(MedgridError, match="no predictions of this study were committed; run the study"):
        CompactPredictions(tmp_path / FILE)
