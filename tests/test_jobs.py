"""The table of jobs: the same names as in the rules, functions that take what the table says, settings from files."""

import inspect
import json
import re
from types import SimpleNamespace

import pytest
from conftest import ROOT, medgrid

from medgrid import jobs
from medgrid.config import Synthetic
from medgrid.launch.run import _is_writer
from medgrid.utils.errors import MedgridError

RULES = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]


def test_rules_call_the_jobs_of_the_table():
    calls = {name for file in RULES for name in re.findall(r"medgrid job (\w+)", file.read_text())}
    assert calls == set(jobs.JOBS)


@pytest.mark.parametrize("name", jobs.JOBS)
def test_functions_take_the_files_and_options_of_the_table(name):
    job = jobs.JOBS[name]
    parameters = list(inspect.signature(job.load()).parameters.values())[1:]  # after the settings
    assert {*job.files, *job.options} <= {each.name for each in parameters}
    assert {each.name for each in parameters if each.default is each.empty} <= {*job.files, *job.options}
    for each in parameters:
        if each.name in job.options and each.default is not each.empty:
            assert type(each.default) is type(jobs.OPTION_DEFAULTS.get(each.name, ""))


def test_settings_are_read_from_a_file(tmp_path, monkeypatch):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"template": "{label}.png", "images": 70}))
    calls = []
    stub = SimpleNamespace(
        plain=lambda settings, target: calls.append((settings, target)),
        validated=lambda settings, target: calls.append((settings, target)),
    )
    stub.validated.__annotations__["settings"] = Synthetic
    for name in ("plain", "validated"):
        monkeypatch.setitem(jobs.JOBS, name, jobs.Job(f"stub:{name}", ("target",)))
    monkeypatch.setattr(jobs.importlib, "import_module", lambda _: stub)
    for name in ("plain", "validated"):
        jobs.run_job([name, str(file), "there"])
    assert calls[0] == ({"template": "{label}.png", "images": 70}, "there")
    assert isinstance(calls[1][0], Synthetic)
    assert calls[1][0].images == 70


def test_errors_of_settings_name_the_file(tmp_path):
    with pytest.raises(MedgridError, match=r"none\.json does not exist; SETTINGS.json must be the path"):
        jobs.run_job(["index", str(tmp_path / "none.json"), "results"])
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(MedgridError, match=r"broken\.json does not contain valid settings of this job"):
        jobs.run_job(["index", str(broken), "results"])


def test_the_command_line_of_jobs():
    listed = medgrid("job", "--help")
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in jobs.JOBS)
    refused = medgrid("job", "nothing")
    assert refused.returncode == 2
    assert "invalid choice: 'nothing'" in refused.stderr


@pytest.mark.parametrize(
    ("command", "writes"),
    [
        (["/venv/bin/python", "/venv/bin/medgrid", "job", "train", "settings.json"], True),
        (["medgrid", "job", "manifest", "settings.json"], True),
        (["medgrid", "job", "fetch", "settings.json"], False),
        (["/venv/bin/python", "/venv/bin/medgrid", "run", "--", "train"], False),
        (["vim", "medgrid", "job"], False),
        (["medgrid"], False),
        ([], False),
    ],
)
def test_jobs_of_a_killed_run_are_recognised(command, writes):
    assert _is_writer(command) is writes
