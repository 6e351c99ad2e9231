"""`medgrid status`: counts from files and the state of the latest run, and the expected end."""

import fcntl
import json
import os
import time
from pathlib import Path

import pytest
import yaml
from conftest import GRID, merged

from medgrid.config import load
from medgrid.grid.layout import lay_out
from medgrid.grid.versions import fingerprint
from medgrid.launch.params import read_params
from medgrid.launch.run_state import FILE, JobState, RunState
from medgrid.status import estimate_end, print_status, read_status, training_blocks


@pytest.fixture
def grid(params, tmp_path, monkeypatch):
    """Settings and layout of the study `grid`, five training jobs; the working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    settings = load(merged(params, GRID))
    return settings, lay_out(settings)


def blocks(grid) -> list[Path]:
    return list(training_blocks(grid[1], grid[0], "grid"))


def train(block: Path, status: str = "running", started: float = 0.0) -> JobState:
    wildcards = {"study": "grid", "job": block.parent.name, "seeds": block.name}
    ended = None if status == "running" else time.time()
    return JobState("train", wildcards, [f"{block.name}.log"], started or time.time() - 100, ended, status)


def write_state(jobs: list[JobState], **changes) -> RunState:
    state = {
        "pid": os.getpid(),
        "targets": ["grid"],
        "started": time.time() - 100,
        "planned": {"train": 4, "total": 9},
    }
    run = RunState(**state | changes, jobs={str(i): job for i, job in enumerate(jobs)})
    FILE.parent.mkdir(exist_ok=True)
    run.write()
    return run


@pytest.fixture
def lock(grid):
    """The lock of a run, held by this process."""
    Path(".snakemake").mkdir(exist_ok=True)
    with Path(".snakemake/medgrid.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(str(os.getpid()))
        file.flush()
        yield


def status_of(grid, **options):
    settings, layout = grid
    return read_status(settings, layout, ["grid"], options.get("profile", ""), options.get("configfiles", []))


def counts(status) -> dict[str, int]:
    study = status.studies[0]
    return {name: getattr(study, name) for name in ("jobs", "done", "running", "failed", "left")}


def test_without_a_run_finished_jobs_are_counted(grid, capsys):
    first, *others = blocks(grid)
    first.mkdir(parents=True)
    status = status_of(grid)
    assert counts(status) == {"jobs": len(others) + 1, "done": 1, "running": 0, "failed": 0, "left": len(others)}
    print_status(status)
    text = capsys.readouterr().out
    assert "No run has been recorded here; start one: medgrid run -- STUDY" in text
    assert json.dumps(status.to_dict())


def test_more_replicates_are_blocks_of_their_own(grid):
    settings, layout = grid
    first = blocks(grid)[0]
    first.mkdir(parents=True)
    layout.manifests["grid"].__dict__["replicates"] = 4
    finished = {path.name: done for path, done in training_blocks(layout, settings, "grid").items()
                if path.parent == first.parent}  # fmt: skip
    assert finished == {"seeds-0-1": True, "seeds-2-3": False}


def test_an_active_run_shows_its_jobs_and_its_expected_end(grid, lock, capsys):
    first, second, third, *_ = blocks(grid)
    first.mkdir(parents=True)
    write_state([train(first, "finished"), train(second), train(third, "failed")])
    status = status_of(grid)
    assert status.active
    total = len(blocks(grid))
    assert counts(status) == {"jobs": total, "done": 1, "running": 1, "failed": 1, "left": total - 3}
    # one job in 100 s, two of four are left
    assert status.expected_seconds == pytest.approx(200, rel=0.1)
    print_status(status)
    text = capsys.readouterr().out
    assert "Latest run: active for 0:01:4" in text
    assert "Expected end: " in text
    assert "(estimated from 1 finished training jobs)" in text
    assert "running:\n  train grid" in text
    assert "failed:\n  train grid" in text


def test_a_killed_run_is_told_from_an_active_one(grid, capsys):
    first, second, *_ = blocks(grid)
    write_state([train(first), train(second, "failed")])
    status = status_of(grid)
    assert not status.active
    assert counts(status)["running"] == 0
    assert counts(status)["failed"] == 1
    print_status(status)
    assert "Latest run: killed; run the same command again to continue" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"interrupted": True}, "interrupted at "), ({"interrupted": False}, "ended at ")],
)
def test_a_run_that_has_ended(grid, capsys, changes, words):
    write_state([], ended=time.time(), **changes)
    print_status(status_of(grid))
    assert f"Latest run: {words}" in capsys.readouterr().out


def test_a_failed_job_that_has_finished_since_is_done(grid):
    first = blocks(grid)[0]
    first.mkdir(parents=True)
    write_state([train(first, "failed")], ended=time.time())
    assert counts(status_of(grid))["failed"] == 0


def test_jobs_of_other_settings_are_not_counted(grid, lock, capsys):
    write_state([train(blocks(grid)[0])], profile="demo")
    status = status_of(grid)
    assert status.other_settings
    assert counts(status)["running"] == 0
    print_status(status)
    assert "It uses other settings (--workflow-profile demo)" in capsys.readouterr().out
    assert counts(status_of(grid, profile="demo"))["running"] == 1


def test_planned_times_are_used_before_a_job_has_finished(grid, lock):
    settings, layout = grid
    plan = Path(settings.data, "plans", f"grid-{fingerprint(layout.profiles['grid'].settings)}.json")
    plan.parent.mkdir(parents=True)
    jobs = {block.parent.name: {"seconds": 300.0} for block in blocks(grid)}
    plan.write_text(json.dumps({"jobs": jobs, "features": {}}))
    write_state([train(blocks(grid)[0])])
    status = status_of(grid)
    assert status.expected_seconds == pytest.approx(300 * len(jobs) - 100, rel=0.01)
    assert "medgrid plan" in status.expected_from


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"local": False}, "on a cluster, it depends on the queue"),
        ({"planned": {"total": 3}}, "no training jobs are left in this run"),
        ({}, "no training job has finished yet"),
    ],
)
def test_no_end_is_estimated_without_grounds(changes, reason):
    seconds, words = estimate_end(RunState(**{"planned": {"train": 2}} | changes), None)
    assert seconds is None
    assert words.startswith(reason)


def test_settings_are_those_of_the_profile_or_of_configfiles(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "profiles/small").mkdir(parents=True)
    (tmp_path / "profiles/small/config.yaml").write_text("configfile: small.yaml\n")
    (tmp_path / "small.yaml").write_text("results: results/small\n")
    (tmp_path / "mine.yaml").write_text("results: results/mine\n")
    assert read_params().results == "results"
    assert read_params("small").results == read_params("profiles/small").results == "results/small"
    assert read_params("small", ["mine.yaml"]).results == "results/mine"
