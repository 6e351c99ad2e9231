"""One job: all replicates that share a backbone's features, trained stack by stack, resumable at any moment."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from medgrid.config import Training
from medgrid.data import HELD_OUT, PARTS
from medgrid.files import exclusive, replacing
from medgrid.models import device as devices
from medgrid.training import CURVES
from medgrid.training.loop import Part, StackRun

SAVE_EVERY = 20.0  # seconds between checkpoints of a running stack


@dataclass(frozen=True)
class Stack:
    """Cells (by position in the pack) that share the order of batches, for one seed."""

    cells: list[int]
    seed: int

    @property
    def name(self) -> str:
        return f"seed{self.seed}-cells" + "_".join(map(str, self.cells))


def stacks(cells: list[Training], seeds: list[int]) -> Iterator[Stack]:
    """Group a pack's replicates into stacks: same batch size and epochs, same seed."""

    def shared(i: int) -> tuple[int, int]:
        return cells[i].batch_size, cells[i].epochs

    groups = [list(members) for _, members in groupby(sorted(range(len(cells)), key=shared), key=shared)]
    for seed in seeds:
        for members in groups:
            yield Stack(members, seed)


def _parts(features: str, split: str, classes: list[str], device: torch.device) -> tuple[dict[str, Part], dict]:
    """Features and labels of each part, and ids of the images that are not trained on."""
    matrix = np.load(features, mmap_mode="r")
    with open(split, newline="", encoding="utf-8") as handle:  # noqa: PTH123
        images = list(csv.DictReader(handle))
    parts, ids = {}, {}
    for part in PARTS:
        chosen = [image for image in images if image["part"] == part]
        rows = np.array([int(image["row"]) for image in chosen])
        labels = torch.tensor([classes.index(image["label"]) for image in chosen])
        parts[part] = Part(torch.from_numpy(matrix[rows]).to(device), labels.to(device))
        ids[part] = [image["path"] for image in chosen]
    return parts, ids


def _save(content: dict, path: Path) -> None:
    with replacing(path) as temporary:
        torch.save(content, temporary)


def _load(path: Path, device: torch.device) -> dict | None:
    """What was saved at `path`; None where nothing was, or where a disk's fault left it unreadable."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:
        print(f"medgrid: {path} is damaged ({type(error).__name__}); training it anew", file=sys.stderr, flush=True)
        return None


@torch.no_grad()
def _predict(heads: dict[str, torch.Tensor], part: Part) -> torch.Tensor:
    """Probabilities [M, 2, n, C] of the best and the last head of each member."""
    logits = torch.einsum("nd,mkcd->mknc", part.features, heads["weight"]) + heads["bias"][:, :, None]
    return logits.softmax(3)


def _train_stack(run: StackRun, parts: dict[str, Part], checkpoint: Path, bar: tqdm, save_every: float) -> dict:
    """Train or go on training one stack; returns its results on the CPU."""
    saved = _load(checkpoint, parts["train"].features.device)
    if saved:
        # generators live on the CPU whatever the device
        saved["generators"] = {name: state.cpu() for name, state in saved["generators"].items()}
        for name in ("curves", "best_epoch", "diverged_at"):
            saved[name] = saved[name].cpu()
        run.restore(saved)
        bar.update(run.epoch)
    last = time.monotonic()

    def after_epoch() -> None:
        nonlocal last
        bar.update()
        if time.monotonic() - last >= save_every:
            _save(run.state(), checkpoint)
            last = time.monotonic()

    run.run(parts["validation"], after_epoch)
    heads = run.heads()
    probabilities = {part: _predict(heads, parts[part]).cpu() for part in HELD_OUT}
    own = {"curves": run.curves, "best_epoch": run.best_epoch, "diverged_at": run.diverged_at}
    return own | {name: value.cpu() for name, value in heads.items()} | probabilities


def train_pack(
    settings: dict,
    features: str,
    stamp: str,
    split: str,
    target: str,
    checkpoints: str,
    device: str = "auto",
    threads: int = 0,
    save_every: float = SAVE_EVERY,
) -> None:
    """Train every cell x seed of a pack and write its primary results into the folder of `target`.

    - `predictions.npz` (= `target`): for part in validation, test: `<part>_probabilities` float32
      [cells, seeds, 2 (best, last epoch), images, classes], `<part>_images` (ids), `<part>_labels` (class
      numbers); `cells`, `seeds`, `classes`, `best_epoch` and `diverged_at` [cells, seeds] (epochs from 1; 0: none).
    - `curves.csv`: cell, seed, epoch, train and validation loss and accuracy, one row per epoch.
    - `heads.pt`: state of the heads, `weight` [cells, seeds, 2, classes, D] and `bias`.
    - `pack.json`: settings, weights, device, precision, threads, versions.

    `checkpoints` is a folder of this pack's own: finished stacks are kept there, the running one is saved every
    `save_every` seconds, and a killed job goes on from them to the same numbers. Whoever calls removes the folder
    once the results are safe.
    """
    folder, scratch = Path(target).parent, Path(checkpoints)
    with exclusive(scratch.with_suffix(".lock"), "an earlier job that still trains this pack"):
        chosen = devices.choose(device, threads)
        backbone = json.loads(Path(stamp).read_text())
        cells = [Training.model_validate(cell["training"]) for cell in settings["cells"]]
        seeds, classes = settings["seeds"], settings["classes"]
        parts, ids = _parts(features, split, classes, chosen)
        finished: dict[tuple[int, int], dict] = {}
        todo = list(stacks(cells, seeds))
        total = sum(cells[stack.cells[0]].epochs for stack in todo)
        earlier = sum((scratch / f"{stack.name}.pt").exists() for stack in todo)
        if earlier:
            print(f"medgrid: {earlier} of {len(todo)} stacks were finished earlier", file=sys.stderr, flush=True)
        with tqdm(total=total, desc=f"heads on {backbone['model']}", unit="epoch", mininterval=1) as bar:
            for stack in todo:
                done = scratch / f"{stack.name}.pt"
                members = [cells[i] for i in stack.cells]
                result = _load(done, torch.device("cpu"))
                if result is None:
                    running = scratch / "running" / f"{stack.name}.pt"
                    run = StackRun(
                        members,
                        stack.seed,
                        settings["select"],
                        parts["train"],
                        len(classes),
                        backbone["dropout"],
                    )
                    result = _train_stack(run, parts, running, bar, save_every)
                    _save(result, done)
                    running.unlink(missing_ok=True)
                else:
                    bar.update(members[0].epochs)
                for position, cell in enumerate(stack.cells):
                    finished[cell, stack.seed] = {name: value[position] for name, value in result.items()}
        _write(folder, settings, finished, parts, ids)
        description = {
            "cells": settings["cells"],
            "select": settings["select"],
            "backbone": backbone,
            "training": devices.stamp(chosen),
        }
        with replacing(folder / "pack.json") as temporary:
            temporary.write_text(json.dumps(description, indent=2) + "\n")


def _write(folder: Path, settings: dict, finished: dict, parts: dict[str, Part], ids: dict) -> None:
    names, seeds = [cell["id"] for cell in settings["cells"]], settings["seeds"]

    def gather(name: str) -> torch.Tensor:
        return torch.stack([torch.stack([finished[i, seed][name] for seed in seeds]) for i in range(len(names))])

    predictions = {
        "cells": np.array(names),
        "seeds": np.array(seeds),
        "classes": np.array(settings["classes"]),
        "best_epoch": gather("best_epoch").numpy(),
        "diverged_at": gather("diverged_at").numpy(),
    }
    for part in HELD_OUT:
        predictions[f"{part}_probabilities"] = gather(part).numpy()
        predictions[f"{part}_images"] = np.array(ids[part])
        predictions[f"{part}_labels"] = parts[part].labels.cpu().numpy()
    _save({"weight": gather("weight"), "bias": gather("bias")}, folder / "heads.pt")
    with replacing(folder / "curves.csv") as temporary, temporary.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("cell", "seed", "epoch", *CURVES))
        for i, name in enumerate(names):
            for seed in seeds:
                for epoch, values in enumerate(finished[i, seed]["curves"].tolist(), 1):
                    writer.writerow((name, seed, epoch, *(f"{value:.7g}" for value in values)))
    with replacing(folder / "predictions.npz") as temporary:
        np.savez(temporary, **predictions)
