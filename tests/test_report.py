"""Figures and pages of unusual studies: one axis, one replicate, diverged cells, two classes."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from medgrid.data import PARTS
from medgrid.evaluation.tables import write_tables
from medgrid.report.figures import write_figures
from medgrid.report.page import write_page
from medgrid.training import CURVES


def study(folder, axes, cells, classes, seeds, diverged=()):
    """Write predictions as a training would have left them, then everything that is made from them."""
    rng = np.random.default_rng(0)
    pack = folder / "packs" / "pack"
    pack.mkdir(parents=True)
    labels = np.arange(60) % len(classes)
    logits = rng.normal(size=(len(cells), seeds, 2, 60, len(classes))) + 2 * np.eye(len(classes))[labels]
    probabilities = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)
    epochs = np.zeros((len(cells), seeds), int)
    for i in diverged:
        probabilities[i] = np.nan
        epochs[i] = 1
    names = [cell["id"] for cell in cells]
    files = {
        "cells": names,
        "seeds": range(seeds),
        "classes": classes,
        "diverged_at": epochs,
        "best_epoch": 1 - epochs,
    }
    for part in PARTS[1:]:
        files |= {
            f"{part}_probabilities": probabilities,
            f"{part}_labels": labels,
            f"{part}_images": labels.astype(str),
        }
    np.savez(pack / "predictions.npz", **{name: np.asarray(value) for name, value in files.items()})
    stamp = {"device": "cpu", "precision": "float32", "torch": "2"}
    backbone = {"model": "resnet18", "weights": "random", "sha256": None, **stamp}
    (pack / "pack.json").write_text(json.dumps({"backbone": backbone, "training": stamp}))
    curves = [
        {"cell": name, "seed": seed, "epoch": epoch} | dict.fromkeys(CURVES, np.nan if i in diverged else 0.5)
        for i, name in enumerate(names) for seed in range(seeds) for epoch in (1, 2)
    ]  # fmt: skip
    pd.DataFrame(curves).to_csv(pack / "curves.csv", index=False)
    images = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(60)], "row": range(60), "label": np.array(classes)[labels],
            "part": [PARTS[i % 3] for i in range(60)], "error": "", "pixels_sha256": range(60), "group": "",
            "format": "PNG", "mode": "L",
        }
    )  # fmt: skip
    images.to_csv(folder / "images.csv", index=False)
    np.save(folder / "tensors.npy", np.zeros((60, 32, 32, 3), np.uint8))
    settings = {
        "study": "odd", "title": "Odd", "document": "x", "protocol": "clean", "axes": axes, "cells": cells,
        "classes": classes, "select": "validation_loss", "synthetic": True, "data": "synthetic images",
        "license": "CC0-1.0", "show_images": False, "packs": ["pack"], "notes": {"resnet18": ""},
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_tables(settings, str(folder))
        write_figures(settings, str(folder), str(folder / "images.csv"), str(folder / "tensors.npy"))
        write_page(settings, str(folder), str(folder / "images.csv"), str(folder / "images.csv"))
    return settings


RATES = [{"id": f"lr={lr}", "lr": lr} for lr in (1e-5, 1.0000001e-5, 0.1)]


def test_one_axis_without_models(tmp_path):
    study(tmp_path, ["lr"], RATES, ["a", "b", "c"], 3)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "class_counts", "heatmap", "ranking", "confusion", "curves", "roc",
    }  # fmt: skip
    # rates that six digits do not tell apart
    assert len(set(pd.read_csv(tmp_path / "cells.csv", dtype=str)["lr"])) == 3


def test_one_replicate_has_no_interval(tmp_path):
    study(tmp_path, ["lr"], RATES, ["a", "b"], 1)
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert cells["test_accuracy_low"].isna().all()
    assert cells["test_accuracy_mean"].notna().all()


@pytest.mark.parametrize("diverged", [[1], [0, 1, 2]])
def test_diverged_cells_are_marked(diverged, tmp_path):
    study(tmp_path, ["lr"], RATES, ["a", "b"], 2, diverged)
    replicates = pd.read_csv(tmp_path / "replicates.csv")
    failed = replicates["cell"].isin([RATES[i]["id"] for i in diverged])
    assert (replicates.loc[failed, "status"] == "diverged in epoch 1").all()
    assert replicates.loc[failed, "test_accuracy"].isna().all()
    assert (replicates.loc[~failed, "status"] == "ok").all()
    assert "2 diverged" in (tmp_path / "index.html").read_text()


def test_three_axes_more(tmp_path):
    cells = [
        {"id": f"{m}_{o}_{b}_{lr}", "model": m, "optimizer": o, "batch_size": b, "lr": lr}
        for m in ("resnet18", "vgg16") for o in ("sgd", "adam") for b in (16, 32) for lr in (0.1, 0.01)
    ]  # fmt: skip
    study(tmp_path, ["model", "optimizer", "batch_size", "lr"], cells, ["a", "b"], 2)
    assert len(list((tmp_path / "figures").glob("curves-*.png"))) == 2
