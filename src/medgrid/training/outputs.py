"""The files of a finished job: predictions, curves, weights and a description."""

import csv
import json
from pathlib import Path

import numpy as np
import torch

from medgrid.config.metrics import CURVES
from medgrid.data import HELD_OUT, UNLABELLED
from medgrid.training.data import Part
from medgrid.training.predictions import Predictions, write_predictions

# results of each training of a job, by position of the cell and seed: what `Run.results` returns of one member
Results = dict[tuple[int, int], dict]


def write_outputs(
    folder: Path, settings: dict, results: Results, parts: dict[str, Part], paths: dict[str, list[str]]
) -> None:
    """Write `predictions.npz`, `curves.csv` and `weights.pt` into `folder`.

    `settings` are the job's, `paths` those of the images of each part.
    """
    cells, seeds = [cell["id"] for cell in settings["cells"]], settings["seeds"]
    write_predictions(folder, _predictions(settings, results, parts, paths))
    _write_curves(folder / "curves.csv", cells, seeds, results)
    weights = {
        cell: {seed: results[i, seed]["weights"] for seed in seeds if "weights" in results[i, seed]}
        for i, cell in enumerate(cells)
    }
    torch.save(weights, folder / "weights.pt")


def write_description(folder: Path, description: dict) -> None:
    (folder / "job.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _predictions(
    settings: dict, results: Results, parts: dict[str, Part], paths: dict[str, list[str]]
) -> Predictions:
    cells, seeds = [cell["id"] for cell in settings["cells"]], settings["seeds"]

    def gather(name: str) -> np.ndarray:
        """[cells, seeds, ...]"""
        rows = [torch.stack([results[i, seed][name] for seed in seeds]) for i in range(len(cells))]
        return torch.stack(rows).numpy()

    probabilities = {part: gather(part) for part in HELD_OUT}
    if UNLABELLED in parts:
        probabilities[UNLABELLED] = gather(UNLABELLED)[:, :, 0]
    return Predictions(
        cells,
        seeds,
        settings["classes"],
        best_epoch=gather("best_epoch"),
        epochs=gather("ended_at"),
        diverged_at=gather("diverged_at"),
        seconds=gather("seconds"),
        penalty=gather("penalty"),
        probabilities=probabilities,
        images={part: paths[part] for part in probabilities},
        labels={part: parts[part].labels.cpu().numpy() for part in HELD_OUT},
    )


def _write_curves(target: Path, cells: list[str], seeds: list[int], results: Results) -> None:
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("cell", "seed", "epoch", *CURVES, "lr"))
        for i, cell in enumerate(cells):
            for seed in seeds:
                curves = results[i, seed]["curves"][: results[i, seed]["ended_at"]]
                for epoch, values in enumerate(curves.tolist(), 1):
                    writer.writerow((cell, seed, epoch, *(f"{value:.7g}" for value in values)))
