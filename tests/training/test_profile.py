"""The calibration before a study: every job has a price, and prices follow what is trained."""

import copy
import json
import time

import pytest
import torch
from conftest import TINY, merged

from medgrid.config import load
from medgrid.grid.layout import plan
from medgrid.training.profile import AT_MOST, FIRST, _seconds, print_costs, write_profile
from medgrid.utils.errors import MedgridError

COUNTS = {"train": 200, "validation": 50, "test": 60, "unlabelled": 0}
STUDY = "brain_tumor_lr_batch"


def settings(params: dict, **changes) -> dict:
    """What the plan asks a calibration of the tiny study: two frozen backbones, and a plain network from scratch."""
    tiny = merged(copy.deepcopy(params), TINY)
    study = tiny["studies"][STUDY] | {"models": {"plain": {"layers": [{"conv": 4}, {"pool": "global_average"}]}}}
    study["extra"] = [{"model": "plain", "mode": "scratch", "batch_size": 16, "lr": 0.01}]
    study["fixed"] = study["fixed"] | changes
    tiny |= {"run": [STUDY], "studies": {STUDY: study}}
    return plan(load(tiny)).costs_of[STUDY].settings


@pytest.fixture(scope="module")
def found(params, tmp_path_factory) -> dict:
    target = tmp_path_factory.mktemp("costs") / "costs.json"
    write_profile(settings(params) | {"declared": COUNTS}, str(target), "no split yet", "cpu", 1)
    return json.loads(target.read_text())


def test_everything_has_a_price(found, params):
    asked = settings(params)
    assert found["counts"] == COUNTS
    assert set(found["jobs"]) == set(asked["jobs"])
    assert len(found["jobs"]) == 3
    assert set(found["features"]) == set(asked["features"])
    assert len(found["features"]) == 2
    for cost in (*found["jobs"].values(), *found["features"].values()):
        assert cost["seconds"] > 8  # starting alone takes that
        assert 100 < cost["memory_mib"] < 4000
        assert cost["disk_mib"] >= 1


@pytest.mark.slow
def test_twice_the_epochs_take_twice_as_long(params, tmp_path, monkeypatch):
    """In the sums: what is measured of each is the same kind of step, by this process's own time."""
    monkeypatch.setattr("medgrid.training.profile.time.perf_counter", time.process_time)
    seconds = []
    for epochs in (1000, 2000):
        target = tmp_path / f"{epochs}.json"
        write_profile(settings(params, epochs=epochs) | {"declared": COUNTS}, str(target), "", "cpu", 1)
        seconds.append(sum(cost["seconds"] for cost in json.loads(target.read_text())["jobs"].values()))
    assert 1.3 < seconds[1] / seconds[0] < 3


def test_a_split_that_is_there_counts(params, tmp_path):
    parts = ["train"] * 30 + ["validation"] * 10 + ["test"] * 20
    (tmp_path / "split.csv").write_text("path,part\n" + "".join(f"{i}.png,{part}\n" for i, part in enumerate(parts)))
    write_profile(settings(params), str(tmp_path / "costs.json"), str(tmp_path / "split.csv"), "cpu", 1)
    counts = json.loads((tmp_path / "costs.json").read_text())["counts"]
    assert counts == {"train": 30, "validation": 10, "test": 20, "unlabelled": 0}


def test_unknown_counts_are_asked_for(params, tmp_path):
    with pytest.raises(MedgridError, match="name it as `count` of the data set"):
        write_profile(settings(params) | {"declared": None}, str(tmp_path / "costs.json"), "", "cpu", 1)
    assert not list(tmp_path.iterdir())


def test_finished_jobs_are_held_against_the_plan(found, tmp_path, capsys):
    (tmp_path / "costs.json").write_text(json.dumps(found))
    name, cost = next(iter(found["jobs"].items()))
    (tmp_path / f"{name}.tsv").write_text(f"s\th:m:s\n{cost['seconds'] / 2}\t0:00:01\n")
    told = {"study": "one", "costs": str(tmp_path / "costs.json"), "cells": 9, "jobs": 5, "gpu": True}
    print_costs([told | {"benchmarks": str(tmp_path)}])
    said = capsys.readouterr().out
    assert said.startswith("one\n")
    assert "5: 3 jobs, 2 sets of features" in said
    assert "ratio 2.00" in said
    lines = {line.split("  ")[1]: line for line in said.splitlines()[1:]}
    every = [*found["jobs"].values(), *found["features"].values()]
    hours = {gpu: sum(cost["seconds"] for cost in every if cost["gpu"] is gpu) / 3600 for gpu in (True, False)}
    assert hours[True] and hours[False]
    assert lines["jobs that ask for a GPU"].endswith(f" {hours[True]:.2f} h")
    assert lines["jobs that do not"].endswith(f" {hours[False]:.2f} h")
    paces = [cost["images_per_second"] for cost in found["jobs"].values()]
    assert f" {min(paces):,.0f} (" in lines["images per second"]
    assert f" to {max(paces):,.0f} (" in lines["images per second"]


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
    assert plan(load(params)).costs_of[STUDY].settings["declared"] == expected


@pytest.mark.parametrize(("fixed", "each"), [(1.0, 0.001), (0.0, 0.5), (0.01, 0.2)])
def test_a_step_s_own_cost_is_reported_from_that_of_its_images(monkeypatch, fixed, each):
    """Seconds of a clock that only `act` moves."""
    now = [0.0]
    monkeypatch.setattr("medgrid.training.profile.time.perf_counter", lambda: now[0])

    def act(images: int) -> None:
        assert fixed + each * images <= max(AT_MOST, fixed + each * FIRST)
        now[0] += fixed + each * images

    pace, images = _seconds(act, 128, torch.device("cpu"))
    assert pace == pytest.approx((fixed + each * 128) / 128, rel=0.02)
    assert FIRST <= images <= 128
