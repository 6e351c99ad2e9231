"""The manifest: named after its content, the only one of its kind, and what training jobs are kept for."""

import pytest

from medgrid.config import load
from medgrid.grid.layout import lay_out
from medgrid.grid.manifest import OtherSplit, StudyManifest, prune, read_manifest, write_manifest
from medgrid.utils.errors import MedgridError


@pytest.fixture
def manifest(params) -> StudyManifest:
    return lay_out(load(params)).manifests["pneumonia_loss"]


def changed(manifest: StudyManifest) -> StudyManifest:
    """With another title, which pages show, and another licence, which tables depend on."""
    settings = manifest.model_dump(mode="json") | {"title": "Another", "license": "another"}
    return StudyManifest.model_validate(settings)


def test_every_study_s_manifest_reads_back_the_same(params):
    for manifest in lay_out(load(params)).manifests.values():
        again = StudyManifest.model_validate_json(manifest.model_dump_json())
        assert again.model_dump(mode="json") == manifest.model_dump(mode="json")
        assert (again.tables_name, again.page_name) == (manifest.tables_name, manifest.page_name)


def test_it_is_the_only_one_of_its_kind_and_named_after_its_content(tmp_path, manifest):
    for each in (manifest, changed(manifest)):
        tables, page = tmp_path / f"{each.tables_name}.json", tmp_path / f"page-{each.page_name}.json"
        for target in (tables, page):
            write_manifest(each, str(target))
        assert set(tmp_path.iterdir()) == {tables, page}
        assert read_manifest(tables).title == read_manifest(page).title == each.title


def test_settings_that_changed_meanwhile_are_refused(tmp_path, manifest):
    for name in (f"{manifest.tables_name}.json", f"page-{manifest.page_name}.json", f"{manifest.page_name}.json"):
        with pytest.raises(MedgridError, match="settings changed while the run was starting"):
            write_manifest(changed(manifest), str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_pruning_leaves_what_is_asked_for_and_other_files(tmp_path, manifest):
    for name in (manifest.jobs[0], "gone-4567"):
        (tmp_path / name / "seeds-0-4").mkdir(parents=True)
    (tmp_path / ".DS_Store").touch()
    prune(manifest, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {manifest.jobs[0], ".DS_Store"}


def test_pruning_leaves_the_jobs_of_all_splits(tmp_path, manifest):
    for name in ("of-another-split", "gone"):
        (tmp_path / name).mkdir()
    other = OtherSplit(split="x", jobs=["of-another-split"])
    prune(manifest.model_copy(update={"other_splits": [other]}), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["of-another-split"]
