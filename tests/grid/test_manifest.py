"""The manifest: named after what it holds, and what jobs are kept for."""

import json

import pytest

from medgrid.grid.manifest import prune, write_manifest
from medgrid.grid.versions import manifest_name
from medgrid.utils.errors import MedgridError

SETTINGS = {"title": "One", "submission": None, "jobs": ["kept-0123"]}


def test_it_is_the_only_one_and_named_after_its_content(tmp_path):
    for settings in (SETTINGS, SETTINGS | {"title": "Two"}):
        target = tmp_path / f"{manifest_name(settings)}.json"
        write_manifest(settings, str(target))
        assert list(tmp_path.iterdir()) == [target]
        assert json.loads(target.read_text()) == settings


def test_settings_that_changed_meanwhile_are_refused(tmp_path):
    target = tmp_path / f"{manifest_name(SETTINGS)}.json"
    with pytest.raises(MedgridError, match="settings changed while the run was starting"):
        write_manifest(SETTINGS | {"title": "Two"}, str(target))
    assert not list(tmp_path.iterdir())


def test_pruning_leaves_what_is_asked_for_and_what_is_no_job(tmp_path):
    for name in ("kept-0123", "gone-4567"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").touch()
    (tmp_path / ".DS_Store").touch()
    prune(SETTINGS, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"kept-0123", ".DS_Store"}
