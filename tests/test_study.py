"""Results as data frames, the example script, and verdicts recomputed from committed predictions."""

import contextlib
import io
import json
import shutil
import subprocess
import sys

import factories
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import medgrid
from medgrid.evaluation.compact import FILE
from medgrid.grid.manifest import write_manifest
from medgrid.verdicts import recompute

CLAIMS = {
    "low_rate": {"text": "The low rate is best.", "tests": [{"kind": "best", "settings": {"lr": 0.01}}]},
    "sizes": {
        "text": "Batch sizes do not matter.",
        "tests": [{"kind": "equal", "settings": [{"batch_size": 16}, {"batch_size": 32}]}],
    },
}
TEXTS = ["cell", "seed", "path", "label", "predicted"]
# words in names of columns that depend on rounded probabilities, and by how much these may differ; see compact.py
TOLERANCES = {"temperature": 0.02, "auc": 1e-3, "loss": 1e-3, "ece": 1e-3, "brier": 1e-3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and manifest of an evaluated study with claims, training jobs and predictions.npz."""
    folder = tmp_path_factory.mktemp("results") / "odd"
    params = factories.small({"lr": [0.1, 0.01], "batch_size": [16, 32]}, replicates=3, claims=CLAIMS)
    manifest, jobs = factories.settings_of(params)
    factories.write_study(folder, manifest, jobs, ((manifest.cells[0]["id"], 1),))
    factories.evaluate(folder, manifest)
    factories.finish(folder, manifest, figures=False, site=True)
    write_manifest(manifest, str(folder / "manifest" / f"{manifest.tables_name}.json"))
    return folder, manifest


@pytest.fixture
def study(finished, tmp_path):
    """A copy that a test may change."""
    folder, manifest = finished
    shutil.copytree(folder, tmp_path / "odd")
    return tmp_path / "odd", manifest


def test_tables_are_data_frames(finished):
    folder, manifest = finished
    study = medgrid.load_study(folder)
    assert study.manifest == manifest
    cells = [cell["id"] for cell in manifest.cells]
    assert list(study.cells["cell"].unique()) == cells
    assert len(study.cells) == 2 * len(cells)
    assert len(study.replicates) == 2 * len(cells) * 3
    assert set(study.curves["cell"]) <= set(cells)
    assert study.cells["test_accuracy_mean"].between(0, 1).all()
    with pytest.raises(AttributeError):
        study.folder = folder


def test_claims_have_a_row_for_each_comparison(finished):
    folder, _ = finished
    claims = medgrid.load_study(folder).claims
    content = json.loads((folder / "tables/claims.json").read_text())["claims"]
    assert len(claims) == sum(len(claim["comparisons"]) for claim in content)
    assert set(claims["claim"]) == set(CLAIMS)
    assert set(claims["claim_verdict"]) <= {"supported", "contradicted", "open"}
    assert claims["estimate"].dtype == float
    assert all(isinstance(json.loads(text), dict | list | None) for text in claims["left"])


def test_predictions_agree_with_the_tables(finished):
    folder, manifest = finished
    study = medgrid.load_study(folder)
    table = study.predictions
    assert len(table) == len(manifest.cells) * 3 * factories.TESTED
    assert list(table) == [*TEXTS, *(f"probability_{name}" for name in manifest.classes)]
    right = (table["predicted"] == table["label"]).groupby([table["cell"], table["seed"]]).mean()
    best = study.replicates[study.replicates["checkpoint"] == "best"].set_index(["cell", "seed"])
    expected = best[best["status"] == "ok"]["test_accuracy"]
    np.testing.assert_allclose(right.loc[expected.index], expected, atol=1e-6)
    diverged = table[(table["cell"] == manifest.cells[0]["id"]) & (table["seed"] == 1)]
    assert diverged["predicted"].isna().all()


def test_predictions_come_from_the_compact_file_without_jobs(study):
    folder, _ = study
    exact = medgrid.load_study(folder).predictions
    shutil.rmtree(folder / "jobs")
    rounded = medgrid.load_study(folder).predictions
    pd.testing.assert_frame_equal(rounded[TEXTS], exact[TEXTS])
    numbers = exact.columns.difference(TEXTS)
    np.testing.assert_allclose(rounded[numbers], exact[numbers], atol=5e-4)


def test_errors_name_the_way_out(study, tmp_path):
    folder, _ = study
    with pytest.raises(medgrid.MedgridError, match=r"contains no results of a study .* contains odd"):
        medgrid.load_study(tmp_path / "nothing")
    shutil.rmtree(folder / "jobs")
    (folder / FILE).unlink()
    with pytest.raises(medgrid.MedgridError, match="has no predictions: neither"):
        _ = medgrid.load_study(folder).predictions
    shutil.rmtree(folder / "tables")
    with pytest.raises(medgrid.MedgridError, match="has no tables yet; run the study: medgrid run -- odd"):
        medgrid.load_study(folder)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = medgrid.nothing


@pytest.mark.slow
def test_the_example_runs(study):
    folder, _ = study
    command = [sys.executable, str(ROOT / "examples/load_study.py"), str(folder)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert text.startswith("Odd: 4 cells, 3 replicates each\n")
    assert all(name in text for name in CLAIMS)
    assert "png" in text  # images that are often misclassified
    shutil.rmtree(folder / "jobs")
    (folder / FILE).unlink()
    assert "has no predictions" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def remove_all_but_committed_files(folder) -> None:
    shutil.rmtree(folder / "jobs")
    for name in ("images.csv", "tensors.npy"):
        (folder / name).unlink()


@pytest.fixture(scope="module")
def recomputed(finished, tmp_path_factory):
    """Folder of a study, folder of its recomputed results, what was printed, whether a table of the study changed."""
    original, _ = finished
    folder = tmp_path_factory.mktemp("clone") / "odd"
    shutil.copytree(original, folder)
    remove_all_but_committed_files(folder)
    before = {path: path.read_bytes() for path in (folder / "tables").iterdir()}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        recompute("odd", str(folder.parent), str(folder.parent / "out"))
    changed = before != {path: path.read_bytes() for path in (folder / "tables").iterdir()}
    return folder, folder.parent / "out", printed.getvalue(), changed


def test_verdicts_from_compact_predictions_are_the_same(recomputed):
    folder, out, printed, changed = recomputed
    assert "<h1" in (out / "report/odd/index.html").read_text()
    assert "curves.csv: unchanged\n" in printed
    assert "confusion.csv: unchanged\n" in printed
    before, after = (
        json.loads((each / "tables/claims.json").read_text())["claims"] for each in (folder, out / "odd")
    )
    for old, new in zip(before, after, strict=True):
        assert (new["name"], new["verdict"]) == (old["name"], old["verdict"])
        for first, second in zip(old["comparisons"], new["comparisons"], strict=True):
            assert second["verdict"] == first["verdict"]
            assert second["estimate"] == pytest.approx(first["estimate"], abs=1e-6)  # of accuracies
    assert not changed  # exact tables are never replaced by rounded ones


@pytest.mark.parametrize("name", ["cells", "replicates", "per_class", "intervals", "comparisons"])
def test_tables_from_compact_predictions_agree(recomputed, name):
    folder, out, *_ = recomputed
    before, after = (pd.read_csv(each / f"tables/{name}.csv") for each in (folder, out / "odd"))
    assert list(after) == list(before)
    for column in before:
        if before[column].dtype.kind not in "if":
            assert after[column].equals(before[column])
            continue
        tolerance = next((limit for word, limit in TOLERANCES.items() if word in column), 1e-6)
        if name in ("intervals", "comparisons"):  # all metrics in one column
            tolerance = 1e-3
        if column.endswith(("_low", "_high")):  # multiples of a standard error over two or three replicates
            tolerance *= 10
        np.testing.assert_allclose(after[column], before[column], atol=tolerance, err_msg=column)


def test_predictions_of_other_settings_are_refused(study):
    folder, manifest = study
    other = manifest.model_copy(update={"jobs": [*manifest.jobs, "another-0123456789ab"]})
    next((folder / "manifest").glob("*.json")).write_text(other.model_dump_json())
    with pytest.raises(medgrid.MedgridError, match="contain different jobs"):
        recompute("odd", str(folder.parent))


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[: len(content) // 2]])
def test_damaged_predictions_are_named(study, tmp_path, damage):
    folder, manifest = study
    file = folder / FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(medgrid.MedgridError, match=r"predictions.npz is damaged .*git checkout"):
        recompute("odd", str(folder.parent), str(tmp_path / "out"))
    block = next((folder / "jobs" / manifest.jobs[0]).iterdir())
    (block / FILE).write_bytes(damage((block / FILE).read_bytes()))
    with pytest.raises(medgrid.MedgridError, match=f"is damaged .*delete {block}"):
        _ = medgrid.load_study(folder).predictions


def test_a_study_without_committed_predictions_is_named(study):
    folder, _ = study
    (folder / FILE).unlink()
    with pytest.raises(medgrid.MedgridError, match="no predictions of this study were committed"):
        recompute("odd", str(folder.parent))
