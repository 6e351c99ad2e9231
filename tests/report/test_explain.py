"""Which networks are explained, and figures of studies with gaps."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import training

from medgrid.config import Model
from medgrid.models.networks import build
from medgrid.report import explain
from medgrid.report.figures import style

SIDE = 32
FEW = {"networks": 7, "perturbations": 20}
CLASSES = ["one", "other"]


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
    one, other = explain.select({"trainings": trainings, "select": select, "explanations": FEW}, scores)
    assert (one.cell, one.why) == ("a3", "")
    assert (other.cell, other.why) == ("b1", "replicates diverged in every cell")


def test_of_too_many_only_the_best_of_each_model_is_shown():
    trainings = {
        f"{model}{mode}": {"model": str(model), "mode": mode} for model in range(7) for mode in ("scratch", "full")
    }
    scores = means({cell: place for place, cell in enumerate(reversed(trainings))})
    settings = {"trainings": trainings, "select": "validation_loss"}
    panels = explain.select(settings | {"explanations": FEW}, scores)
    assert [panel.cell for panel in panels] == [f"{model}full" for model in range(7)]
    panels = explain.select(settings | {"explanations": {"networks": 2}}, scores)
    assert [panel.cell for panel in panels] == ["5full", "6full"]


NETWORKS = {
    "plain": Model(layers=[{"conv": 4, "activation": "relu"}, {"pool": "global_average"}]),
    "dense": Model(layers=[{"pool": "flatten"}]),
    "lost": Model(layers=[{"pool": "flatten"}]),
    "other": Model(layers=[{"pool": "flatten"}]),
}


@pytest.fixture
def study(tmp_path) -> dict:
    """Finished jobs of four small networks, one without weights and one with weights of another training."""
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
        job = tmp_path / "jobs" / name
        job.mkdir(parents=True)
        np.savez(
            job / "predictions.npz",
            cells=[name],
            seeds=[0],
            test_probabilities=probabilities[None, None, None].numpy(),
            test_images=paths,
            # the third image is the only one that the networks get right
            test_labels=[int(p.argmax() if row == 2 else p.argmin()) for row, p in enumerate(probabilities)],
        )
        torch.save({name: {} if name == "lost" else {0: state}}, job / "weights.pt")
        description = {
            "cells": [{"id": name, "training": trainings[name]}], "model": model.model_dump(mode="json"),
            "classes": CLASSES, "source": "images", "backbone": {"weights": "random"},
        }  # fmt: skip
        (job / "job.json").write_text(json.dumps(description))
    means(dict.fromkeys(NETWORKS, 0.5)).assign(weights="random").to_csv(tmp_path / "cells.csv", index=False)
    return {
        "trainings": trainings, "classes": CLASSES, "select": "validation_loss", "jobs": list(NETWORKS),
        "weights": dict.fromkeys(NETWORKS, "random"), "data": "noise", "license": "unknown", "protocol": "clean",
        "show_images": True, "explanations": FEW,
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
