"""A training job: its files, kills and resumed trainings, and blocks of seeds that share checkpoints."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CLASSES, training

from medgrid.models import device as devices
from medgrid.training.job import groups, train_job
from medgrid.training.predictions import read_predictions
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import file_lock

CELLS = [training(lr=lr, batch_size=size, epochs=6) for size in (16, 32) for lr in (1e-3, 1e-1)]
SETTINGS = {
    "cells": [{"id": f"c{i}", "training": cell.model_dump()} for i, cell in enumerate(CELLS)],
    "seeds": [0, 1], "select": "validation_loss", "classes": CLASSES, "weights": "random_calibrated",
    "augmentations": {}, "model": {"backbone": "resnet18", "layers": []}, "keep_weights": "first",
    "source": "features",
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    features = rng.normal(size=(4, 32))[labels] + 2 * rng.normal(size=(300, 32))
    np.save(folder / "features.npy", features.astype(np.float32))
    stamp = {"dropout": 0.1, "feature_level": "output", "sha256": None, **devices.stamp(torch.device("cpu"))}
    (folder / "stamp.json").write_text(json.dumps(stamp))
    pd.DataFrame(
        {
            "row": range(300),
            "path": [f"{i}.png" for i in range(300)],
            "label": [CLASSES[label] for label in labels],
            "part": ["train"] * 150 + ["validation"] * 50 + ["test"] * 100,
            "cluster": range(300),
        }
    ).to_csv(folder / "split.csv", index=False)
    return {name: str(folder / f"{name}.{kind}") for name, kind in FILES.items()}


FILES = {"features": "npy", "stamp": "json", "split": "csv"}


def train(inputs, target, checkpoints, settings=SETTINGS, device="cpu"):
    train_job(settings, target=str(target), checkpoints=str(checkpoints), device=device, threads=1, **inputs)
    return target


@pytest.fixture(scope="module")
def uninterrupted(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return train(inputs, folder / "seeds-0-1", folder / "checkpoints")


def same(one, other):
    with np.load(one / "predictions.npz") as a, np.load(other / "predictions.npz") as b:
        assert a.files == b.files
        # training time differs
        assert all(np.array_equal(a[name], b[name]) for name in a.files if name != "seconds")
    assert (one / "curves.csv").read_bytes() == (other / "curves.csv").read_bytes()
    weights = [torch.load(block / "weights.pt", weights_only=True) for block in (one, other)]
    assert [{cell: list(seeds) for cell, seeds in each.items()} for each in weights] == [
        {cell: list(seeds) for cell, seeds in weights[0].items()}
    ] * 2
    for cell, seeds in weights[0].items():
        for seed, state in seeds.items():
            assert all(torch.equal(state[name], weights[1][cell][seed][name]) for name in state)


def test_cells_with_the_same_batches_are_stacked():
    assert [(group.cells, group.seed) for group in groups(CELLS, [0, 1], stacked=True)] == [
        ([0, 1], 0),
        ([2, 3], 0),
        ([0, 1], 1),
        ([2, 3], 1),
    ]


def test_the_files_of_a_job(uninterrupted):
    assert sorted(path.name for path in uninterrupted.iterdir()) == [
        "curves.csv",
        "job.json",
        "predictions.npz",
        "weights.pt",
    ]
    predictions = np.load(uninterrupted / "predictions.npz")
    assert predictions["test_probabilities"].shape == (4, 2, 2, 100, 4)
    assert predictions["validation_probabilities"].shape == (4, 2, 2, 50, 4)
    assert predictions["test_images"][0] == "200.png"
    assert np.allclose(predictions["test_probabilities"].sum(-1), 1, atol=1e-6)
    curves = pd.read_csv(uninterrupted / "curves.csv")
    assert len(curves) == 4 * 2 * 6
    weights = torch.load(uninterrupted / "weights.pt", weights_only=True)
    assert {cell: list(seeds) for cell, seeds in weights.items()} == {f"c{i}": [0] for i in range(4)}
    assert weights["c0"][0]["0.weight"].shape == (4, 32)
    assert predictions["epochs"].tolist() == [[6, 6]] * 4
    assert (predictions["seconds"] > 0).all()
    assert (predictions["penalty"] == 0).all()
    description = json.loads((uninterrupted / "job.json").read_text())
    assert description["training"]["device"] == "cpu, 1 thread"
    assert description["training"]["precision"] == "float32"
    checkpoints = uninterrupted.parent / "checkpoints"
    assert len(list(checkpoints.glob("*.pt"))) == 4  # finished groups, for resuming
    assert not list((checkpoints / "running").glob("*"))
    assert sorted(path.name for path in uninterrupted.parent.iterdir()) == ["checkpoints", "seeds-0-1"]


def test_predictions_are_those_of_the_kept_weights(uninterrupted, inputs):
    head = torch.load(uninterrupted / "weights.pt", weights_only=True)["c2"][0]
    features = torch.from_numpy(np.load(inputs["features"])[200:])
    expected = (features @ head["0.weight"].T + head["0.bias"]).softmax(1)
    ours = np.load(uninterrupted / "predictions.npz")["test_probabilities"][2, 0, 0]
    assert np.abs(ours - expected.numpy()).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["in a stack", "between stacks"])
def test_a_killed_job_resumes_to_the_same_numbers(moment, inputs, uninterrupted, tmp_path):
    target, work = tmp_path / "seeds-0-1", tmp_path / "checkpoints"
    # saves after every epoch, and sleeps so that it can be killed in time
    code = (
        "import sys, json, time, torch\n"
        "from medgrid.training import loop, job\n"
        "record = loop.Run._record_epoch\n"
        "def slow(*a):\n    record(*a); time.sleep(0.1)\n"
        "loop.Run._record_epoch = slow\n"
        "job.train_job(json.loads(sys.argv[1]), **json.loads(sys.argv[2]), save_every=0.0)\n"
    )
    files = inputs | {"target": str(target), "checkpoints": str(work), "device": "cpu", "threads": 1}
    command = [sys.executable, "-c", code, json.dumps(SETTINGS), json.dumps(files)]
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    awaited = "running/seed1-*.pt" if moment == "in a stack" else "seed0-cell2-of2.pt"
    deadline = time.monotonic() + 60
    while not list(work.glob(awaited)):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not target.exists()
    finished = {path: path.stat().st_mtime_ns for path in work.glob("*.pt")}
    assert finished
    train(inputs, target, work)
    same(target, uninterrupted)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_damaged_checkpoints_are_trained_again(inputs, uninterrupted, tmp_path, capfd):
    work = tmp_path / "checkpoints"
    (work / "running").mkdir(parents=True)
    for path in (work / "seed0-cell2-of2.pt", work / "running" / "seed1-cell0-of2.pt"):
        path.write_bytes(b"PK not whole")
    same(train(inputs, tmp_path / "seeds-0-1", work), uninterrupted)
    assert capfd.readouterr().err.count("is damaged") == 2


def test_cells_of_different_lengths(inputs, tmp_path):
    cells = [{"id": f"c{e}", "training": training(epochs=e).model_dump()} for e in (2, 5)]
    settings = SETTINGS | {"cells": cells}
    block = train(inputs, tmp_path / "seeds-0-1", tmp_path / "checkpoints", settings)
    assert pd.read_csv(block / "curves.csv").groupby("cell").size().to_dict() == {"c2": 4, "c5": 10}


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Names of the groups that are trained, not loaded; an entry of None interrupts the job before that group."""
    from medgrid.training import job

    train_group, names = job._train_group, []

    def recorded(training_job, group, *arguments):
        if names[-1:] == [None]:
            names.pop()
            raise KeyboardInterrupt
        names.append(group.name)
        return train_group(training_job, group, *arguments)

    monkeypatch.setattr(job, "_train_group", recorded)
    return names


def test_finished_groups_are_not_trained_again(inputs, uninterrupted, tmp_path, trained, monkeypatch):
    work = tmp_path / "checkpoints"
    from medgrid.training.checkpoints import Checkpoints

    save_finished = Checkpoints.save_finished

    def interrupting(checkpoints, group, results):
        save_finished(checkpoints, group, results)
        if len(trained) == 3:
            trained.append(None)

    monkeypatch.setattr(Checkpoints, "save_finished", interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(inputs, tmp_path / "seeds-0-1", work)
    assert trained == ["seed0-cell0-of2", "seed0-cell2-of2", "seed1-cell0-of2"]
    assert not (tmp_path / "seeds-0-1").exists()
    monkeypatch.setattr(Checkpoints, "save_finished", save_finished)
    same(train(inputs, tmp_path / "seeds-0-1", work), uninterrupted)
    assert trained[3:] == ["seed1-cell2-of2"]


def test_a_job_for_more_seeds_reuses_the_groups_of_an_interrupted_one(inputs, tmp_path, trained, uninterrupted):
    work = tmp_path / "checkpoints"
    train(inputs, tmp_path / "seeds-1", work, SETTINGS | {"seeds": [1]})
    assert torch.load(tmp_path / "seeds-1" / "weights.pt", weights_only=True)["c0"] == {}  # first means seed 0
    del trained[:]
    same(train(inputs, tmp_path / "seeds-0-1", work), uninterrupted)
    assert trained == ["seed0-cell0-of2", "seed0-cell2-of2"]


def test_blocks_of_seeds_have_the_numbers_of_one_job(inputs, tmp_path, uninterrupted):
    both = read_predictions(uninterrupted)
    for seed in (0, 1):
        settings = SETTINGS | {"seeds": [seed]}
        block = read_predictions(train(inputs, tmp_path / f"seeds-{seed}", tmp_path / "checkpoints", settings))
        assert block.seeds == [seed]
        for part in ("validation", "test"):
            assert np.array_equal(block.probabilities[part][:, 0], both.probabilities[part][:, seed])


def test_blocks_of_the_same_cells_train_side_by_side(inputs, tmp_path, capfd):
    work = tmp_path / "checkpoints"
    with file_lock(work / "seeds-0.lock", "a test"):
        train(inputs, tmp_path / "seeds-1", work, SETTINGS | {"seeds": [1]})
        assert "waiting" not in capfd.readouterr().err
        code = (
            "import sys, json\nfrom medgrid.training.job import train_job\n"
            "train_job(json.loads(sys.argv[1]), **json.loads(sys.argv[2]))\n"
        )
        files = inputs | {"target": str(tmp_path / "seeds-0"), "checkpoints": str(work), "device": "cpu"}
        command = [sys.executable, "-c", code, json.dumps(SETTINGS | {"seeds": [0]}), json.dumps(files)]
        job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert "waiting for another process that trains the same job" in job.stderr.readline()
        finally:
            job.kill()
            job.communicate()
    assert not (tmp_path / "seeds-0").exists()


def test_a_job_replaces_earlier_results_only_when_it_is_finished(inputs, tmp_path, trained, uninterrupted):
    target = tmp_path / "seeds-0-1"
    target.mkdir()
    (target / "earlier").touch()
    trained.append(None)
    with pytest.raises(KeyboardInterrupt):
        train(inputs, target, tmp_path / "checkpoints")
    assert [path.name for path in target.iterdir()] == ["earlier"]
    same(train(inputs, target, tmp_path / "checkpoints"), uninterrupted)
    assert not (target / "earlier").exists()


@pytest.mark.slow
def test_training_needs_no_workflow_tools(inputs, uninterrupted, tmp_path):
    """A job trains without Snakemake, DVC, Kaggle's client and the packages that only tables and pages use."""
    absent = ("snakemake", "dvc", "kagglehub", "pandas", "sklearn", "matplotlib", "seaborn", "cv2")
    code = (
        "import sys, json\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        "import medgrid.models.features, medgrid.training.rebuild\n"
        "from medgrid.training.job import train_job\n"
        "train_job(json.loads(sys.argv[1]), **json.loads(sys.argv[2]))\n"
    )
    files = inputs | {"target": str(tmp_path / "seeds-0-1"), "checkpoints": str(tmp_path / "checkpoints")}
    files |= {"device": "cpu", "threads": 1}
    subprocess.run([sys.executable, "-c", code, json.dumps(SETTINGS), json.dumps(files)], check=True)
    same(tmp_path / "seeds-0-1", uninterrupted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_cuda_without_a_gpu_is_an_error():
    with pytest.raises(MedgridError, match="torch finds no CUDA device"):
        devices.choose("cuda", 1)
    assert devices.choose("auto", 1).type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_numbers_of_a_cpu(inputs, uninterrupted, tmp_path):
    gpu = read_predictions(train(inputs, tmp_path / "seeds-0-1", tmp_path / "checkpoints", device="cuda"))
    cpu = read_predictions(uninterrupted)
    assert np.abs(gpu.probabilities["test"] - cpu.probabilities["test"]).max() < 1e-3


def test_test_images_may_validate_and_unlabelled_ones_are_predicted(inputs, tmp_path):
    """A published split that selects on its test set, and a competition's images."""
    split = pd.read_csv(inputs["split"])
    test = split[split["part"] == "test"]
    unlabelled = split[split["part"] == "validation"].assign(part="unlabelled", label="")
    both = pd.concat([split[split["part"] != "validation"], test.assign(part="validation"), unlabelled])
    both.to_csv(tmp_path / "split.csv", index=False)
    block = train(inputs | {"split": str(tmp_path / "split.csv")}, tmp_path / "seeds-0-1", tmp_path / "checkpoints")
    predictions = read_predictions(block)
    assert predictions.images["validation"] == predictions.images["test"]
    assert np.array_equal(predictions.probabilities["validation"], predictions.probabilities["test"])
    assert predictions.images["unlabelled"] == [f"{i}.png" for i in range(150, 200)]
    assert predictions.unlabelled_probabilities.shape == (4, 2, 50, 4)
    head = torch.load(block / "weights.pt", weights_only=True)["c1"][0]
    features = torch.from_numpy(np.load(inputs["features"])[150:200])
    expected = (features @ head["0.weight"].T + head["0.bias"]).softmax(1)
    assert np.abs(predictions.unlabelled_probabilities[1, 0] - expected.numpy()).max() < 1e-5
