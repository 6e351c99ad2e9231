"""A whole job on disk: killed, resumed, and what it leaves behind."""

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
from medgrid.utils.errors import MedgridError

CELLS = [training(lr=lr, batch_size=size, epochs=6) for size in (16, 32) for lr in (1e-3, 1e-1)]
SETTINGS = {
    "cells": [{"id": f"c{i}", "training": cell.model_dump()} for i, cell in enumerate(CELLS)],
    "seeds": [0, 1], "select": "validation_loss", "classes": CLASSES, "weights": "random_calibrated", "augmentations": {},
    "model": {"backbone": "resnet18", "layers": []}, "keep_weights": "first", "source": "features",
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


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(inputs, folder / "predictions.npz", folder / "work" / "job")
    return folder


def same(one, other):
    with np.load(one / "predictions.npz") as a, np.load(other / "predictions.npz") as b:
        assert a.files == b.files
        # how long it took is no number of the training
        assert all(np.array_equal(a[name], b[name]) for name in a.files if name != "seconds")
    assert (one / "curves.csv").read_bytes() == (other / "curves.csv").read_bytes()


def test_cells_stack_where_they_share_batches():
    made = list(groups(CELLS, [0, 1], stacked=True))
    assert [(group.cells, group.seed) for group in made] == [
        ([0, 1], 0),
        ([2, 3], 0),
        ([0, 1], 1),
        ([2, 3], 1),
    ]


def test_what_a_job_leaves(undisturbed):
    predictions = np.load(undisturbed / "predictions.npz")
    assert predictions["test_probabilities"].shape == (4, 2, 2, 100, 4)
    assert predictions["validation_probabilities"].shape == (4, 2, 2, 50, 4)
    assert predictions["test_images"][0] == "200.png"
    assert np.allclose(predictions["test_probabilities"].sum(-1), 1, atol=1e-6)
    curves = pd.read_csv(undisturbed / "curves.csv")
    assert len(curves) == 4 * 2 * 6
    weights = torch.load(undisturbed / "weights.pt", weights_only=True)
    assert {cell: list(seeds) for cell, seeds in weights.items()} == {f"c{i}": [0] for i in range(4)}
    assert weights["c0"][0]["0.weight"].shape == (4, 32)
    assert predictions["epochs"].tolist() == [[6, 6]] * 4
    assert (predictions["seconds"] > 0).all()
    assert (predictions["penalty"] == 0).all()
    description = json.loads((undisturbed / "job.json").read_text())
    assert description["training"]["device"] == "cpu, 1 thread"
    assert description["training"]["precision"] == "float32"
    assert len(list((undisturbed / "work" / "job").glob("*.pt"))) == 4  # finished stacks, in case of a kill
    assert not list((undisturbed / "work" / "job" / "running").glob("*"))


def test_predictions_are_those_of_the_kept_weights(undisturbed, inputs):
    head = torch.load(undisturbed / "weights.pt", weights_only=True)["c2"][0]
    features = torch.from_numpy(np.load(inputs["features"])[200:])
    expected = (features @ head["0.weight"].T + head["0.bias"]).softmax(1)
    ours = np.load(undisturbed / "predictions.npz")["test_probabilities"][2, 0, 0]
    assert np.abs(ours - expected.numpy()).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["in a stack", "between stacks"])
def test_a_killed_job_goes_on_to_the_same_numbers(moment, inputs, undisturbed, tmp_path):
    target, work = tmp_path / "predictions.npz", tmp_path / "work" / "job"
    # saves after every epoch, and dawdles so that it can be caught
    code = (
        "import sys, json, time, torch\n"
        "from medgrid.training import loop, job\n"
        "note = loop.Run._note_epoch\n"
        "def slow(*a):\n    note(*a); time.sleep(0.1)\n"
        "loop.Run._note_epoch = slow\n"
        "job.train_job(json.loads(sys.argv[1]), **json.loads(sys.argv[2]), save_every=0.0)\n"
    )
    files = inputs | {"target": str(target), "checkpoints": str(work), "device": "cpu", "threads": 1}
    command = [sys.executable, "-c", code, json.dumps(SETTINGS), json.dumps(files)]
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    sought = "running/seed1-*.pt" if moment == "in a stack" else "seed0-cell2-of2.pt"
    deadline = time.monotonic() + 60
    while not list(work.glob(sought)):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not target.exists()
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*.pt")}
    assert kept
    train(inputs, target, work)
    same(tmp_path, undisturbed)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_damaged_checkpoints_are_trained_anew(inputs, undisturbed, tmp_path, capfd):
    work = tmp_path / "work" / "job"
    (work / "running").mkdir(parents=True)
    for path in (work / "seed0-cell2-of2.pt", work / "running" / "seed1-cell0-of2.pt"):
        path.write_bytes(b"PK not whole")
    train(inputs, tmp_path / "predictions.npz", work)
    same(tmp_path, undisturbed)
    assert capfd.readouterr().err.count("is damaged") == 2


def test_cells_of_different_lengths(inputs, tmp_path):
    cells = [{"id": f"c{e}", "training": training(epochs=e).model_dump()} for e in (2, 5)]
    settings = SETTINGS | {"cells": cells}
    train(inputs, tmp_path / "predictions.npz", tmp_path / "work" / "job", settings)
    assert pd.read_csv(tmp_path / "curves.csv").groupby("cell").size().to_dict() == {"c2": 4, "c5": 10}


def test_finished_stacks_are_not_trained_again(inputs, undisturbed, tmp_path, monkeypatch):
    from medgrid.training import job

    work = tmp_path / "work" / "job"
    train_stacked, trained = job._train, []

    def counted(run, *arguments):
        trained.append(run)
        if len(trained) == 4:
            raise KeyboardInterrupt
        return train_stacked(run, *arguments)

    monkeypatch.setattr(job, "_train", counted)
    with pytest.raises(KeyboardInterrupt):
        train(inputs, tmp_path / "predictions.npz", work)
    train(inputs, tmp_path / "predictions.npz", work)
    assert len(trained) == 3 + 1 + 1
    same(tmp_path, undisturbed)


def test_training_needs_no_workflow_tools(inputs, undisturbed, tmp_path):
    """A GPU machine without Snakemake, DVC and Kaggle's client, and without what only tables and pages need."""
    absent = ("snakemake", "dvc", "kagglehub", "pandas", "sklearn", "matplotlib", "seaborn", "cv2")
    code = (
        "import sys, json\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        "import medgrid.models.features, medgrid.training.rebuild\n"
        "from medgrid.training.job import train_job\n"
        "train_job(json.loads(sys.argv[1]), **json.loads(sys.argv[2]))\n"
    )
    files = inputs | {"target": str(tmp_path / "predictions.npz"), "checkpoints": str(tmp_path / "work" / "job")}
    files |= {"device": "cpu", "threads": 1}
    subprocess.run([sys.executable, "-c", code, json.dumps(SETTINGS), json.dumps(files)], check=True)
    same(tmp_path, undisturbed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_cuda_that_is_not_there_is_an_error():
    with pytest.raises(MedgridError, match="torch sees no CUDA device"):
        devices.choose("cuda", 1)
    assert devices.choose("auto", 1).type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpu_s_numbers(inputs, undisturbed, tmp_path):
    train(inputs, tmp_path / "predictions.npz", tmp_path / "work" / "job", device="cuda")
    with np.load(tmp_path / "predictions.npz") as gpu, np.load(undisturbed / "predictions.npz") as cpu:
        assert np.abs(gpu["test_probabilities"] - cpu["test_probabilities"]).max() < 1e-3


def test_test_images_may_validate_and_unlabelled_ones_are_predicted(inputs, tmp_path):
    """A published split that selects on its test set, and a competition's images."""
    split = pd.read_csv(inputs["split"])
    tested = split[split["part"] == "test"]
    unlabelled = split[split["part"] == "validation"].assign(part="unlabelled", label="")
    twice = pd.concat([split[split["part"] != "validation"], tested.assign(part="validation"), unlabelled])
    twice.to_csv(tmp_path / "split.csv", index=False)
    train(inputs | {"split": str(tmp_path / "split.csv")}, tmp_path / "predictions.npz", tmp_path / "work" / "job")
    made = np.load(tmp_path / "predictions.npz")
    assert made["validation_images"].tolist() == made["test_images"].tolist()
    assert np.array_equal(made["validation_probabilities"], made["test_probabilities"])
    assert made["unlabelled_images"].tolist() == [f"{i}.png" for i in range(150, 200)]
    assert made["unlabelled_probabilities"].shape == (4, 2, 50, 4)
    head = torch.load(tmp_path / "weights.pt", weights_only=True)["c1"][0]
    features = torch.from_numpy(np.load(inputs["features"])[150:200])
    expected = (features @ head["0.weight"].T + head["0.bias"]).softmax(1)
    assert np.abs(made["unlabelled_probabilities"][1, 0] - expected.numpy()).max() < 1e-5
