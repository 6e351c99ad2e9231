"""Which networks are explained, and figures of studies with missing weights or feature maps."""

import json
from pathlib import Path

import factories
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import training

from medgrid.config import Model
from medgrid.grid.manifest import StudyManifest
from medgrid.models.networks import build
from medgrid.report.explanations import draw
from medgrid.report.explanations.select import Panel, select_cells
from medgrid.report.explanations.write import write_explanations
from medgrid.report.figures import style
from medgrid.training.predictions import Predictions, write_predictions

SIDE = 32
CLASSES = ["one", "other"]


def test_the_best_cell_by_validation_represents_a_model_and_mode():
    trainings = {cell: training(model=f"model_{cell[0]}", mode="full") for cell in ("a1", "a2", "a3", "b1")}
    # a2 and b1 have a diverged replicate, and so no score
    first, second = select_cells(trainings, pd.Series({"a1": -0.3, "a3": -0.2}), limit=7)
    assert (first.cell, first.reason) == ("a3", "")
    assert (second.cell, second.reason) == ("b1", "replicates diverged in every cell")


def test_of_too_many_only_the_best_mode_of_each_model_is_shown():
    modes = ("scratch", "full")
    trainings = {f"{i}{mode}": training(model=f"model_{i}", mode=mode) for i in range(7) for mode in modes}
    scores = pd.Series({cell: float(i) for i, cell in enumerate(trainings)})
    panels = select_cells(trainings, scores, limit=7)
    assert [panel.cell for panel in panels] == [f"{i}full" for i in range(7)]
    panels = select_cells(trainings, scores, limit=2)
    assert [panel.cell for panel in panels] == ["5full", "6full"]


NETWORKS = {
    "plain": Model(layers=[{"conv": 4, "activation": "relu"}, {"pool": "global_average"}]),
    "dense": Model(layers=[{"pool": "flatten"}]),
    "lost": Model(layers=[{"pool": "flatten"}]),
    "other": Model(layers=[{"pool": "flatten"}]),
}


def write_block(folder: Path, name: str, settings: dict, images: torch.Tensor) -> None:
    """Write the results of one seed of a network: `lost` without weights, `other` with those of another training."""
    network = build(NETWORKS[name], 2, "unit", "random", 3, SIDE, seed=1).eval()
    with torch.no_grad():
        probabilities = network(images).softmax(1)
    state = {key: value for key, value in network.state_dict().items() if key.startswith("head.")}
    if name == "other":
        state["head.1.bias"] += torch.tensor([9.0, -9.0])
    # the third image is the only one that the networks get right
    labels = np.array([int(p.argmax() if row == 2 else p.argmin()) for row, p in enumerate(probabilities)])
    one = np.ones((1, 1))
    held_out = probabilities.numpy()[None, None, None].repeat(2, axis=2)
    paths = [f"{row}.png" for row in range(len(images))]
    predictions = Predictions(
        cells=[name], seeds=[0], classes=CLASSES, best_epoch=one, epochs=one, diverged_at=0 * one, seconds=one,
        penalty=np.zeros((1, 1, 2)), probabilities={"validation": held_out, "test": held_out},
        images={"validation": paths, "test": paths}, labels={"validation": labels, "test": labels},
    )  # fmt: skip
    folder.mkdir(parents=True)
    write_predictions(folder, predictions)
    torch.save({name: {} if name == "lost" else {0: state}}, folder / "weights.pt")
    description = {
        "cells": [{"id": name, "training": settings}], "model": NETWORKS[name].model_dump(mode="json"),
        "classes": CLASSES, "source": "images", "backbone": {"weights": "random"},
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(description))


@pytest.fixture
def study(tmp_path) -> StudyManifest:
    """Finished jobs of four small networks."""
    images = torch.randint(0, 256, (6, SIDE, SIDE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "tensors.npy", images.numpy())
    paths = [f"{row}.png" for row in range(6)]
    split = {"row": range(6), "path": paths, "part": "test", "cluster": range(6), "near_duplicate": "no"}
    pd.DataFrame(split).to_csv(tmp_path / "split.csv", index=False)
    trainings = {name: training(model=name, mode="scratch", normalisation="unit") for name in NETWORKS}
    for name in NETWORKS:
        settings = trainings[name].model_dump(mode="json")
        write_block(tmp_path / "jobs" / name / "seeds-0", name, settings, images)
    cells = pd.DataFrame({"cell": list(NETWORKS), "checkpoint": "best", "diverged": 0, "weights": "random"})
    (tmp_path / "tables").mkdir()
    cells.assign(validation_loss_mean=0.5).to_csv(tmp_path / "tables/cells.csv", index=False)
    manifest, _ = factories.settings_of(factories.small({"lr": [0.1]}, replicates=1))
    return manifest.model_copy(
        update={
            "trainings": trainings, "classes": CLASSES, "jobs": list(NETWORKS), "replicates": 1,
            "weights": dict.fromkeys(NETWORKS, "random"), "license": "unknown", "axes": ["model"],
            "cells": [{"id": name, "model": name} for name in NETWORKS],
            "explanations": manifest.explanations.model_copy(update={"networks": 7, "perturbations": 20}),
        }
    )  # fmt: skip


def write(manifest: StudyManifest, folder: Path) -> None:
    files = (str(folder / name) for name in ("split.csv", "tensors.npy", "weights"))
    write_explanations(manifest, str(folder), *files)


def test_a_network_that_predicts_the_same_for_every_image_has_no_important_superpixels():
    panel = Panel("a", "plain", "scratch", prediction="ill (100 %)", weights=np.zeros(4))
    figure, axes = plt.subplots()
    assert draw.show_lime(panel, axes, np.arange(4).reshape(2, 2)) == "no superpixel has an effect"
    assert not axes.images
    panel.weights[1] = 0.1
    assert draw.show_lime(panel, axes, np.arange(4).reshape(2, 2)) == ""
    assert axes.images
    plt.close(figure)


def test_figures_name_what_is_missing(study, tmp_path, monkeypatch):
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
        assert figure["lost"][1] == "its weights were not saved"
        assert "predicts differently" in figure["other"][1].replace("\n", " ")
    assert "map of 32 x 32" in texts["gradcam"]["plain"][0]
    assert "no feature map" in texts["gradcam"]["dense"][0]


def test_images_are_not_shown_without_a_licence(study, tmp_path):
    write(study, tmp_path)
    write(study.model_copy(update={"show_images": False}), tmp_path)
    (file,) = (tmp_path / "explanations").iterdir()
    assert "licence (unknown)" in file.read_text()
