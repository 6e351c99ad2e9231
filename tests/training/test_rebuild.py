"""Networks put together from what a job kept predict what the job predicted, whatever they were trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medgrid.config import Model, Training
from medgrid.models.features import write_features
from medgrid.training.job import train_job
from medgrid.training.losses import probabilities
from medgrid.training.rebuild import trained_network
from medgrid.utils.errors import MedgridError

SIZE, COUNT = 80, 24
POOLED = [{"pool": "global_average"}, {"dense": 8, "activation": "relu", "batch_norm": True, "dropout": 0.2}]
CONVOLUTIONS = [{"conv": 8, "activation": "relu", "batch_norm": True}, *POOLED]
PERCEPTRON = [{"pool": "flatten"}, {"dense": 8, "activation": "leaky_relu", "batch_norm": True}, {"dense": 6}]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 2
    pixels = rng.integers(0, 150, (COUNT, SIZE, SIZE, 3)) + 100 * labels[:, None, None, None]
    np.save(folder / "tensors.npy", pixels.astype(np.uint8))
    parts = ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    rows = [f"{i},{i}.png,{'ab'[labels[i]]},{part},{i}" for i, part in enumerate(parts)]
    (folder / "split.csv").write_text("\n".join(["row,path,label,part,cluster", *rows]) + "\n")
    return folder


def train(images: Path, folder: Path, source: str, model: Model, **changes) -> Path:
    """Train one cell from `source`; returns the job's folder."""
    common = {"model": "m", "optimizer": "adam", "epochs": 2, "batch_size": 6, "lr": 1e-3}
    training = Training(**common | changes)
    weights = "random" if training.mode == "scratch" else "random_calibrated"
    settings = {
        "cells": [{"id": "c", "training": training.model_dump(mode="json")}], "seeds": [0, 1], "classes": ["a", "b"],
        "select": "validation_loss", "model": model.model_dump(mode="json"), "weights": weights, "source": source,
        "augmentations": {"turned": {"rotation": 20}}, "keep_weights": "first",
    }  # fmt: skip
    inputs = {"tensors": str(images / "tensors.npy")}
    if source in ("features", "maps"):
        feature_level = "map" if source == "maps" else "pooled" if model.layers else "output"
        how = {"model": model.backbone, "normalisation": training.normalisation, "weights": weights, "feature_level": feature_level,
               "augmentation": {"rotation": 20}, "views": training.views}  # fmt: skip
        files = [str(folder / name) for name in ("features.npy", "stamp.json")]
        write_features(how, inputs["tensors"], *files, device="cpu", threads=1)
        inputs = {"features": files[0], "stamp": files[1]}
    target, scratch = str(folder / "predictions.npz"), str(folder / "work" / "job")
    train_job(settings, str(images / "split.csv"), target, scratch, device="cpu", threads=1, **inputs)
    return folder


CASES = {
    "torchvision's own head": ("features", {"backbone": "efficientnet_b0"}, {"mode": "head_only"}),
    "pooled features": ("features", {"backbone": "resnet18", "layers": POOLED}, {"mode": "head_only"}),
    "views": ("features", {"backbone": "resnet18", "layers": POOLED},
              {"mode": "head_only", "augmentation": "turned", "views": 2}),
    "maps": ("maps", {"backbone": "resnet18", "layers": CONVOLUTIONS}, {"mode": "head_only"}),
    "colour pixels": ("pixels", {"layers": PERCEPTRON}, {"mode": "scratch"}),
    "one logit": ("pixels", {"layers": PERCEPTRON}, {"mode": "scratch", "loss": "binary_cross_entropy"}),
    "images": ("images", {"backbone": "resnet18", "layers": POOLED}, {"mode": "full", "augmentation": "turned"}),
    "frozen backbone, augmented": ("images", {"backbone": "resnet18", "layers": POOLED},
                               {"mode": "head_only", "augmentation": "turned"}),
    "from scratch": ("images", {"backbone": "resnet18", "layers": POOLED}, {"mode": "scratch"}),
    "Inception, from scratch": ("images", {"backbone": "inception_v3", "layers": POOLED}, {"mode": "scratch"}),
    "plain convolutions": ("images", {"layers": CONVOLUTIONS}, {"mode": "scratch"}),
    "mean of a grey image": ("images", {"layers": [{"pool": "global_average"}, {"dense": 4}]}, {"mode": "scratch"}),
}  # fmt: skip


SLOW = {"images", "Inception, from scratch"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in SLOW else []) for case in CASES]
)
def test_what_was_kept_predicts_what_was_predicted(case, images, tmp_path):
    source, model, changes = CASES[case]
    job = train(images, tmp_path, source, Model(**model), **changes)
    network = trained_network(job, "c", None, 3, SIZE)
    tested = torch.from_numpy(np.load(images / "tensors.npy")[18:])
    with torch.no_grad():
        ours = probabilities(network(tested)[:, None])[:, 0].numpy()
    theirs = np.load(job / "predictions.npz")["test_probabilities"][0, 0, 0]
    # features come from convolutions that carry their BatchNorm, which rounds otherwise
    assert np.abs(ours - theirs).max() < (1e-3 if source in ("features", "maps") else 1e-5)
    assert np.abs(ours - np.load(job / "predictions.npz")["test_probabilities"][0, 1, 0]).max() > 5e-3


@pytest.mark.slow
def test_replicates_start_apart_where_they_train_and_together_where_they_do_not(images, tmp_path):
    """A backbone from scratch is each replicate's own."""
    (tmp_path / "full").mkdir()
    (tmp_path / "scratch").mkdir()
    model = Model(backbone="resnet18", layers=POOLED)
    curves = {
        mode: train(images, tmp_path / mode, "images", model, mode=mode, lr=1e-9, epochs=1) / "weights.pt"
        for mode in ("full", "scratch")
    }
    kept = {mode: torch.load(path, weights_only=True)["c"][0] for mode, path in curves.items()}
    name = "backbone.network.conv1.weight"
    assert not torch.allclose(kept["full"][name], kept["scratch"][name], atol=1e-3)


def test_weights_that_were_not_kept_are_missed(images, tmp_path):
    job = train(images, tmp_path, "pixels", Model(layers=PERCEPTRON), mode="scratch")
    with pytest.raises(MedgridError, match="keeps no weights of other"):
        trained_network(job, "other", None, 3, SIZE)


def test_single_images_train_too(images, tmp_path):
    model = Model(layers=[{"pool": "flatten"}, {"dense": 4}])
    job = train(images, tmp_path, "pixels", model, mode="scratch", batch_size=1, lr=0.01)
    curves = np.genfromtxt(job / "curves.csv", delimiter=",", names=True)
    assert curves["train_loss"][0] > curves["train_loss"][1]


def test_views_do_not_depend_on_how_many_images_pass_at_once(images, tmp_path, monkeypatch):
    from medgrid.models import features

    how = {"model": "resnet18", "normalisation": "own", "weights": "random_calibrated", "feature_level": "pooled",
           "augmentation": {"rotation": 20}, "views": 2}  # fmt: skip
    made = []
    for size in (5, 24):
        monkeypatch.setattr(features, "BATCH", {"cpu": size})
        files = [str(tmp_path / f"{size}.{kind}") for kind in ("npy", "json")]
        write_features(how, str(images / "tensors.npy"), *files, device="cpu", threads=1)
        made.append(np.load(files[0]))
    assert made[0].shape == (3, COUNT, 512)
    assert np.abs(made[0] - made[1]).max() < 1e-4 * np.abs(made[0]).max()
    assert np.abs(made[0][1] - made[0][2]).max() > 1e-2 * np.abs(made[0]).max()
