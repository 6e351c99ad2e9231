"""LIME and Grad-CAM find what decides, where that is known; figures of studies with gaps."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import training
from torch import nn

from medgrid.config import Model
from medgrid.models.networks import Network, build
from medgrid.report import explain, style

SIDE, SQUARE = 32, 4
# 64 squares, counted row by row
SEGMENTS = np.kron(np.arange(64).reshape(8, 8), np.ones((SQUARE, SQUARE), int))
CLASSES = ["one", "other"]


class Places(nn.Module):
    """A head that looks at two places of an image: light in the first speaks for class 1, in the second against."""

    def __init__(self, speaks: tuple[slice, slice], against: tuple[slice, slice]):
        super().__init__()
        self.speaks, self.against = speaks, against

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        speaks, against = (images[:, :, *place].mean((1, 2, 3)) for place in (self.speaks, self.against))
        return 4 * (speaks - against)[:, None]


SPEAKS, AGAINST = (slice(4, 12), slice(16, 24)), (slice(20, 28), slice(4, 12))


def light(rows: slice, columns: slice, channel: slice = slice(None)) -> torch.Tensor:
    """A dark image [H, W, 3] with light in one rectangle."""
    image = torch.full((SIDE, SIDE, 3), 20, dtype=torch.uint8)
    image[rows, columns, channel] = 250
    return image


@pytest.fixture
def image() -> torch.Tensor:
    """Light around both places, and elsewhere."""
    return torch.maximum(light(slice(0, 32), slice(12, 32)), light(slice(16, 32), slice(0, 32)))


def looking(speaks: tuple, against: tuple) -> Network:
    """One logit, see `Places`."""
    return Network(nn.Identity(), Places(speaks, against), "unit", 3)


def test_lime_finds_the_squares_that_decide(image):
    network = looking(SPEAKS, AGAINST)
    weights = explain.lime(network, image, SEGMENTS, target=1)
    assert len(weights) == 64
    found = explain.strongest(weights, 8)
    assert {number for number in found if weights[number] > 0} == {12, 13, 20, 21}
    assert {number for number in found if weights[number] < 0} == {41, 42, 49, 50}
    # the other class sees it the other way round
    np.testing.assert_allclose(explain.lime(network, image, SEGMENTS, target=0), -weights, atol=1e-5)


def test_lime_sees_a_change_of_place(image):
    weights = explain.lime(looking((slice(4, 12), slice(20, 28)), AGAINST), image, SEGMENTS, target=1)
    assert {number for number in explain.strongest(weights, 8) if weights[number] > 0} == {13, 14, 21, 22}


def test_lime_repeats_itself_and_leaves_chance_alone(image):
    network = looking(SPEAKS, AGAINST)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one = explain.lime(network, image, SEGMENTS, target=1)
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(one, explain.lime(network, image, SEGMENTS, target=1))


def test_superpixels_follow_the_image():
    image = light(slice(8, 24), slice(8, 24)).numpy()
    segments = explain.superpixels(image)
    assert 20 < len(np.unique(segments)) < 160
    assert segments.min() == 0
    assert segments.max() == len(np.unique(segments)) - 1
    inside = np.zeros((SIDE, SIDE), bool)
    inside[8:24, 8:24] = True
    assert not set(segments[inside]) & set(segments[~inside])
    assert explain.superpixels(image[:, :, :1]).shape == (SIDE, SIDE)


def test_noise_has_superpixels_too():
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    assert 40 < len(np.unique(explain.superpixels(noise))) < 160


def colours(outputs: int) -> Network:
    """Sees red for class 0 and blue for class 1, on a map of 8 x 8; all frozen, as in head_only."""
    trunk = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AvgPool2d(4))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, outputs, bias=False))
    nn.init.zeros_(trunk[0].weight)
    trunk[0].weight.data[0, 0] = trunk[0].weight.data[1, 2] = 1
    head[2].weight.data = torch.eye(2) if outputs == 2 else torch.tensor([[-1.0, 1.0]])
    return Network(trunk, head, "unit", 3).requires_grad_(False).eval()


@pytest.mark.parametrize("outputs", [1, 2])
def test_gradcam_finds_the_colour_that_decides(outputs):
    red, blue = (slice(0, 8), slice(0, 16)), (slice(24, 32), slice(16, 32))
    image = light(*red, slice(0, 1))
    image[(*blue, 2)] = 250
    for target, place in enumerate((red, blue)):
        values, sides = explain.gradcam(colours(outputs), image, target)
        assert values.shape == (SIDE, SIDE)
        assert sides == (8, 8)
        peak = np.zeros((SIDE, SIDE), bool)
        peak[place] = True
        assert (values > 0.9 * values.max())[peak].mean() > 0.6
        assert not (values > 0.5 * values.max())[~peak].any()


def test_the_last_map_is_found_where_there_is_one():
    image = light(slice(0, 8), slice(0, 8))
    own_head = build(Model(base="resnet18"), 2, "unit", "random", 3, SIDE * 2, 0).eval()
    assert explain.last_map(own_head, torch.cat([torch.cat([image] * 2)] * 2, 1)) is own_head.trunk.network.layer4
    plain = build(Model(layers=[{"conv": 4}, {"pool": "max"}, {"pool": "flatten"}]), 2, "unit", "random", 3, SIDE, 0)
    assert explain.last_map(plain, image) is plain.head[1]
    # whose last map is one pixel at this size
    small = build(Model(base="resnet18", layers=[{"pool": "global_average"}]), 2, "unit", "random", 3, SIDE, 0)
    assert explain.last_map(small.eval(), image) is None
    dense = build(Model(layers=[{"pool": "flatten"}]), 2, "unit", "random", 3, SIDE, 0)
    assert explain.gradcam(dense, image, 0) is None


def means(scores: dict[str, float], diverged=()) -> pd.DataFrame:
    rows = [
        {"cell": cell, "checkpoint": "best", "diverged": int(cell in diverged), "validation_loss_mean": score}
        for cell, score in scores.items()
    ]
    return pd.DataFrame(rows).assign(validation_accuracy_mean=lambda table: -table["validation_loss_mean"])


@pytest.mark.parametrize("select", ["validation_loss", "validation_accuracy"])
def test_validation_picks_and_diverged_cells_are_passed_over(select):
    trainings = {cell: {"model": cell[0], "mode": "full"} for cell in ("a1", "a2", "a3", "b1")}
    scores = means({"a1": 0.3, "a2": 0.1, "a3": 0.2, "b1": 0.4}, diverged=["a2", "b1"])
    one, other = explain.picked({"trainings": trainings, "select": select}, scores)
    assert (one.cell, one.why) == ("a3", "")
    assert (other.cell, other.why) == ("b1", "replicates diverged in every cell")


def test_of_too_many_only_the_best_of_each_model_is_shown():
    trainings = {
        f"{model}{mode}": {"model": str(model), "mode": mode} for model in range(7) for mode in ("scratch", "full")
    }
    scores = means({cell: place for place, cell in enumerate(reversed(trainings))})
    panels = explain.picked({"trainings": trainings, "select": "validation_loss"}, scores)
    assert [panel.cell for panel in panels] == [f"{model}full" for model in range(7)]


NETWORKS = {
    "plain": Model(layers=[{"conv": 4, "activation": "relu"}, {"pool": "global_average"}]),
    "dense": Model(layers=[{"pool": "flatten"}]),
    "lost": Model(layers=[{"pool": "flatten"}]),
    "other": Model(layers=[{"pool": "flatten"}]),
}


@pytest.fixture
def study(tmp_path, monkeypatch) -> dict:
    """Finished packs of four small networks, one without weights and one with weights of another training."""
    monkeypatch.setattr(explain, "PERTURBATIONS", 20)
    images = torch.randint(0, 256, (6, SIDE, SIDE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "tensors.npy", images.numpy())
    paths = [f"{row}.png" for row in range(6)]
    pd.DataFrame({"row": range(6), "path": paths, "part": "test"}).to_csv(tmp_path / "split.csv", index=False)
    trainings = {}
    for name, model in NETWORKS.items():
        trainings[name] = training(model=name, mode="scratch", normalisation="unit").model_dump(mode="json")
        network = build(model, 2, "unit", "random", 3, SIDE, seed=1).eval()
        with torch.no_grad():
            probabilities = network(images).softmax(1)
        state = {key: value for key, value in network.state_dict().items() if key.startswith("head.")}
        if name == "other":
            state["head.1.bias"] += torch.tensor([9.0, -9.0])
        pack = tmp_path / "packs" / name
        pack.mkdir(parents=True)
        np.savez(
            pack / "predictions.npz",
            cells=[name],
            seeds=[0],
            test_probabilities=probabilities[None, None, None].numpy(),
            test_images=paths,
            # the third image is the only one that the networks get right
            test_labels=[int(p.argmax() if row == 2 else p.argmin()) for row, p in enumerate(probabilities)],
        )
        torch.save({name: {} if name == "lost" else {0: state}}, pack / "weights.pt")
        description = {
            "cells": [{"id": name, "training": trainings[name]}], "model": model.model_dump(mode="json"),
            "classes": CLASSES, "source": "images", "backbone": {"weights": "random"},
        }  # fmt: skip
        (pack / "pack.json").write_text(json.dumps(description))
    means(dict.fromkeys(NETWORKS, 0.5)).assign(weights="random").to_csv(tmp_path / "cells.csv", index=False)
    return {
        "trainings": trainings, "classes": CLASSES, "select": "validation_loss", "packs": list(NETWORKS),
        "weights": dict.fromkeys(NETWORKS, "random"), "data": "noise", "license": "unknown", "protocol": "clean",
        "show_images": True,
    }  # fmt: skip


def write(settings: dict, folder) -> None:
    files = (str(folder / name) for name in ("split.csv", "tensors.npy", "weights"))
    explain.write_explanations(settings, str(folder), *files)


def test_a_network_that_says_the_same_of_every_image_has_no_superpixels_that_matter():
    panel = explain.Panel("a", "plain", "scratch", guess="ill (100 %)", weights=np.zeros(4))
    figure, axes = plt.subplots()
    assert explain._show_lime(panel, axes, np.arange(4).reshape(2, 2)) == "no superpixel changes it"
    assert not axes.images
    panel.weights[1] = 0.1
    assert explain._show_lime(panel, axes, np.arange(4).reshape(2, 2)) == ""
    assert axes.images
    plt.close(figure)


def test_figures_say_what_is_missing(study, tmp_path, monkeypatch):
    texts, save = {}, style.save

    def noted(figure, path, note):
        texts[path.stem] = {
            axes.get_title().split(",")[0]: [axes.get_title(), *(text.get_text() for text in axes.texts)]
            for axes in figure.axes
        }
        save(figure, path, note)
        assert "2.png" in note

    monkeypatch.setattr(style, "save", noted)
    write(study, tmp_path)
    assert sorted(path.name for path in (tmp_path / "explanations").iterdir()) == ["gradcam.png", "lime.png"]
    for figure in texts.values():
        assert "predicted: " in figure["plain"][0]
        assert figure["lost"][1] == "its weights were not kept"
        assert "something else" in figure["other"][1].replace("\n", " ")
    assert "map of 32 x 32" in texts["gradcam"]["plain"][0]
    assert "no feature map" in texts["gradcam"]["dense"][0]


def test_images_are_not_shown_without_a_licence(study, tmp_path):
    write(study, tmp_path)
    write(study | {"show_images": False}, tmp_path)
    (file,) = (tmp_path / "explanations").iterdir()
    assert "licence (unknown)" in file.read_text()
