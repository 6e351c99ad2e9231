"""The measured cost of a study: every job has one, and costs follow what is trained."""

import copy
import json
import time

import pytest
import torch
from conftest import TINY, merged

from medgrid.config import load
from medgrid.grid.layout import lay_out
from medgrid.training.plan_report import print_plans
from medgrid.training.profile import FIRST, MAX_STEP, seconds_per_image, write_profile
from medgrid.utils.errors import MedgridError

COUNTS = {"train": 200, "validation": 50, "test": 60, "unlabelled": 0}
STUDY = "brain_tumor_lr_batch"


def settings(params: dict, **changes) -> dict:
    """Settings of the tiny study's profile: two frozen backbones, and a network of convolutions from scratch."""
    tiny = merged(copy.deepcopy(params), TINY)
    study = tiny["studies"][STUDY] | {"models": {"plain": {"layers": [{"conv": 4}, {"pool": "global_average"}]}}}
    study["extra"] = [{"model": "plain", "mode": "scratch", "batch_size": 16, "lr": 0.01}]
    study["fixed"] = study["fixed"] | changes
    tiny |= {"run": [STUDY], "studies": {STUDY: study}}
    return lay_out(load(tiny)).profiles[STUDY].settings


@pytest.fixture(scope="module")
def profile(params, tmp_path_factory) -> dict:
    target = tmp_path_factory.mktemp("costs") / "costs.json"
    write_profile(settings(params) | {"declared": COUNTS}, str(target), "no split yet", "cpu", 1)
    return json.loads(target.read_text())


def test_everything_has_a_cost(profile, params):
    expected = settings(params)
    assert profile["counts"] == COUNTS
    assert set(profile["jobs"]) == set(expected["jobs"])
    assert len(profile["jobs"]) == 3
    assert set(profile["features"]) == set(expected["features"])
    assert len(profile["features"]) == 2
    for cost in (*profile["jobs"].values(), *profile["features"].values()):
        assert cost["seconds"] > 8  # start-up alone
        assert 100 < cost["memory_mib"] < 4000
        assert cost["disk_mib"] >= 1


@pytest.mark.slow
def test_twice_the_epochs_take_twice_as_long(params, tmp_path, monkeypatch):
    """Measured with this process's CPU time."""
    monkeypatch.setattr("medgrid.training.profile.time.perf_counter", time.process_time)
    seconds = []
    for epochs in (1000, 2000):
        target = tmp_path / f"{epochs}.json"
        write_profile(settings(params, epochs=epochs) | {"declared": COUNTS}, str(target), "", "cpu", 1)
        seconds.append(sum(cost["seconds"] for cost in json.loads(target.read_text())["jobs"].values()))
    assert 1.3 < seconds[1] / seconds[0] < 3


@pytest.mark.slow
def test_images_of_an_existing_split_are_counted(params, tmp_path):
    parts = ["train"] * 30 + ["validation"] * 10 + ["test"] * 20
    (tmp_path / "split.csv").write_text("path,part\n" + "".join(f"{i}.png,{part}\n" for i, part in enumerate(parts)))
    write_profile(settings(params), str(tmp_path / "costs.json"), str(tmp_path / "split.csv"), "cpu", 1)
    counts = json.loads((tmp_path / "costs.json").read_text())["counts"]
    assert counts == {"train": 30, "validation": 10, "test": 20, "unlabelled": 0}


def test_unknown_counts_are_an_error(params, tmp_path):
    with pytest.raises(MedgridError, match="set `count` of the data set"):
        write_profile(settings(params) | {"declared": None}, str(tmp_path / "costs.json"), "", "cpu", 1)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def printed(profile, tmp_path, capsys):
    """What `medgrid plan` prints, given the seconds of finished blocks of the first job."""

    def plan(finished: dict[str, float], device: str = "cpu, 1 thread", gpu: bool = True) -> str:
        (tmp_path / "costs.json").write_text(json.dumps(profile | {"device": device}))
        folder = tmp_path / next(iter(profile["jobs"]))
        folder.mkdir(exist_ok=True)
        for block, seconds in finished.items():
            (folder / f"{block}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:01\n")
        settings = {"study": "one", "costs": str(tmp_path / "costs.json"), "cells": 9, "jobs": 5, "gpu": gpu}
        print_plans([settings | {"benchmarks": str(tmp_path)}])
        return capsys.readouterr().out

    return plan


def test_a_plan_is_printed(profile, printed):
    text = printed({})
    assert text.startswith("one\n")
    assert "5: 3 training jobs, 2 sets of features" in text
    assert "finished jobs" not in text
    lines = {line.split("  ")[1]: line for line in text.splitlines()[1:]}
    costs = [*profile["jobs"].values(), *profile["features"].values()]
    hours = {gpu: sum(cost["seconds"] for cost in costs if cost["gpu"] is gpu) / 3600 for gpu in (True, False)}
    assert hours[True] and hours[False]
    assert lines["jobs that request a GPU"].endswith(f" {hours[True]:.2f} h")
    assert lines["other jobs"].endswith(f" {hours[False]:.2f} h")
    assert lines["measured on"].endswith("cpu, 1 thread; no GPU found, so all hours are for a CPU")
    paces = [cost["images_per_second"] for cost in profile["jobs"].values()]
    assert f" {min(paces):,.0f} (" in lines["images per second"]
    assert f" to {max(paces):,.0f} (" in lines["images per second"]
    assert "no GPU" not in printed({}, gpu=False) + printed({}, device="cuda, GPU")


def test_finished_blocks_of_seeds_are_compared_with_the_plan(profile, printed):
    cost = next(iter(profile["jobs"].values()))
    assert cost["seeds"] == 2
    seconds = cost["seconds"]
    assert f"1: planned {seconds:,.0f} s, took {seconds / 2:,.0f} s, ratio 2.00" in printed(
        {"seeds-0-1": seconds / 2}
    )


def test_a_block_is_compared_with_its_share_of_the_plan(profile, printed):
    seconds = next(iter(profile["jobs"].values()))["seconds"]
    assert f"1: planned {seconds / 2:,.0f} s, took" in printed({"seeds-1": 1.0})
    assert f"2: planned {seconds:,.0f} s, took 3 s" in printed({"seeds-0": 2.0, "seeds-1": 1.0})


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ({"test": 0.2, "validation": 0.1}, {"train": 4916, "validation": 702, "test": 1405, "unlabelled": 0}),
        ({"test": 2000, "validation": 1000}, {"train": 4023, "validation": 1000, "test": 2000, "unlabelled": 0}),
        ({"test": 0.2, "validation": "test"}, {"train": 5618, "validation": 1405, "test": 1405, "unlabelled": 0}),
        (
            {"test": 0.5, "validation": 0.25, "use": 1000},
            {"train": 250, "validation": 250, "test": 500, "unlabelled": 0},
        ),
    ],
)
def test_expected_counts(split, expected, params):
    params = copy.deepcopy(params)
    params["studies"][STUDY]["split"] = split
    assert lay_out(load(params)).profiles[STUDY].settings["declared"] == expected


@pytest.mark.parametrize(("fixed", "each"), [(1.0, 0.001), (0.0, 0.5), (0.01, 0.2)])
def test_the_cost_of_a_step_is_separated_from_that_of_its_images(monkeypatch, fixed, each):
    """Only `act` advances the clock."""
    now = [0.0]
    monkeypatch.setattr("medgrid.training.profile.time.perf_counter", lambda: now[0])

    def act(images: int) -> None:
        assert fixed + each * images <= max(MAX_STEP, fixed + each * FIRST)
        now[0] += fixed + each * images

    pace, images = seconds_per_image(act, 128, torch.device("cpu"))
    assert pace == pytest.approx((fixed + each * 128) / 128, rel=0.02)
    assert FIRST <= images <= 128
