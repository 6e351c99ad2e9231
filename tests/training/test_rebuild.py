"""Rebuilt networks predict what their training job predicted, whatever the inputs were."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medgrid.config import Model, Training
from medgrid.models.features import write_features
from medgrid.training.job import train_job
from medgrid.training.losses import probabilities
from medgrid.training.predictions import read_predictions
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


def train(images: Path, folder: Path, source: str, model: Model, seeds: tuple[int, ...] = (0, 1), **changes) -> Path:
    """Train one cell from `source`; returns the folder of its block of seeds."""
    common = {"model": "m", "optimizer": "adam", "epochs": 2, "batch_size": 6, "lr": 1e-3}
    training = Training(**common | changes)
    weights = "random" if training.mode == "scratch" else "random_calibrated"
    settings = {
        "cells": [{"id": "c", "training": training.model_dump(mode="json")}], "seeds": list(seeds),
        "classes": ["a", "b"],
        "select": "validation_loss", "model": model.model_dump(mode="json"), "weights": weights, "source": source,
        "augmentations": {"turned": {"rotation": 20}}, "keep_weights": "first",
    }  # fmt: skip
    inputs = {"tensors": str(images / "tensors.npy")}
    if source in ("features", "maps"):
        feature_level = "map" if source == "maps" else "pooled" if model.layers else "output"
        feature_settings = {
            "model": model.backbone, "normalisation": training.normalisation, "weights": weights,
            "feature_level": feature_level, "augmentation": {"rotation": 20}, "views": training.views,
        }  # fmt: skip
        files = [str(folder / name) for name in ("features.npy", "stamp.json")]
        write_features(feature_settings, inputs["tensors"], *files, device="cpu", threads=1)
        inputs = {"features": files[0], "stamp": files[1]}
    name = "-".join(map(str, ["seeds", *seeds]))
    block, checkpoints = folder / name, str(folder / "checkpoints" / name)
    train_job(settings, str(images / "split.csv"), str(block), checkpoints, device="cpu", threads=1, **inputs)
    return block


CASES = {
    "torchvision's own head": ("features", {"backbone": "efficientnet_b0"}, {"mode": "head_only"}),
    "pooled features": ("features", {"backbone": "resnet18", "layers": POOLED}, {"mode": "head_only"}),
    "views": ("features", {"backbone": "resnet18", "layers": POOLED},
              {"mode": "head_only", "augmentation": "turned", "views": 2}),
    "maps": ("maps", {"backbone": "resnet18", "layers": CONVOLUTIONS}, {"mode": "head_only"}),
    "colour pixels": ("pixels", {"layers": PERCEPTRON}, {"mode": "scratch"}),
    "one logit": ("pixels", {"layers": PERCEPTRON}, {"mode": "scratch", "loss": "binary_cross_entropy"}),
    "images": ("images", {"backbone": "resnet18", "layers": POOLED}, {"mode": "full", "augmentation": "turned"}),
    "frozen backbone, augmented images": ("images", {"backbone": "resnet18", "layers": POOLED},
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
def test_rebuilt_networks_predict_the_job_s_predictions(case, images, tmp_path):
    source, model, changes = CASES[case]
    block = train(images, tmp_path, source, Model(**model), **changes)
    network = trained_network(block, "c", None, 3, SIZE)
    pixels = torch.from_numpy(np.load(images / "tensors.npy")[18:])
    with torch.no_grad():
        rebuilt = probabilities(network(pixels)[:, None])[:, 0].numpy()
    predicted = read_predictions(block).probabilities["test"][0, :, 0]
    # features are computed with BatchNorm folded into convolutions, which changes rounding
    assert np.abs(rebuilt - predicted[0]).max() < (1e-3 if source in ("features", "maps") else 1e-5)
    assert np.abs(rebuilt - predicted[1]).max() > 5e-3


QUICK = {"pooled features", "colour pixels", "plain convolutions"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in QUICK else [pytest.mark.slow]) for case in CASES]
)
def test_a_seed_has_the_same_numbers_in_every_block(case, images, tmp_path):
    """Replicates can be added in every kind of training: new seeds do not depend on earlier ones."""
    source, model, changes = CASES[case]
    both = read_predictions(train(images, tmp_path, source, Model(**model), **changes))
    added = read_predictions(train(images, tmp_path, source, Model(**model), seeds=(1,), **changes))
    for part in ("validation", "test"):
        np.testing.assert_array_equal(added.probabilities[part][:, 0], both.probabilities[part][:, 1])
    for name in ("best_epoch", "diverged_at", "epochs", "penalty"):
        np.testing.assert_array_equal(getattr(added, name)[:, 0], getattr(both, name)[:, 1])


@pytest.mark.slow
def test_replicates_differ_in_backbones_only_from_scratch(images, tmp_path):
    """A backbone from scratch has the replicate's seed."""
    (tmp_path / "full").mkdir()
    (tmp_path / "scratch").mkdir()
    model = Model(backbone="resnet18", layers=POOLED)
    files = {
        mode: train(images, tmp_path / mode, "images", model, mode=mode, lr=1e-9, epochs=1) / "weights.pt"
        for mode in ("full", "scratch")
    }
    kept = {mode: torch.load(path, weights_only=True)["c"][0] for mode, path in files.items()}
    name = "backbone.network.conv1.weight"
    assert not torch.allclose(kept["full"][name], kept["scratch"][name], atol=1e-3)


def test_missing_weights_are_an_error(images, tmp_path):
    block = train(images, tmp_path, "pixels", Model(layers=PERCEPTRON), mode="scratch")
    with pytest.raises(MedgridError, match="seeds-0-1 has no weights of other; set keep_weights: first"):
        trained_network(block, "other", None, 3, SIZE)


def test_single_images_train_too(images, tmp_path):
    model = Model(layers=[{"pool": "flatten"}, {"dense": 4}])
    block = train(images, tmp_path, "pixels", model, mode="scratch", batch_size=1, lr=0.01)
    curves = np.genfromtxt(block / "curves.csv", delimiter=",", names=True)
    assert curves["train_loss"][0] > curves["train_loss"][1]


def test_views_do_not_depend_on_how_many_images_pass_at_once(images, tmp_path, monkeypatch):
    from medgrid.models import features

    settings = {
        "model": "resnet18", "normalisation": "own", "weights": "random_calibrated", "feature_level": "pooled",
        "augmentation": {"rotation": 20}, "views": 2,
    }  # fmt: skip
    features_by_size = []
    for size in (5, 24):
        monkeypatch.setattr(features, "BATCH", {"cpu": size})
        files = [str(tmp_path / f"{size}.{kind}") for kind in ("npy", "json")]
        write_features(settings, str(images / "tensors.npy"), *files, device="cpu", threads=1)
        features_by_size.append(np.load(files[0]))
    assert features_by_size[0].shape == (3, COUNT, 512)
    assert np.abs(features_by_size[0] - features_by_size[1]).max() < 1e-4 * np.abs(features_by_size[0]).max()
    assert np.abs(features_by_size[0][1] - features_by_size[0][2]).max() > 1e-2 * np.abs(features_by_size[0]).max()
