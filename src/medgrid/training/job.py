"""One job: cells and seeds that share their inputs, trained stack by stack, resumable at any moment."""

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
from torch import nn
from tqdm import tqdm

from medgrid.config import Augmentation, Model, Training
from medgrid.data import HELD_OUT, UNLABELLED
from medgrid.models import device as devices
from medgrid.models.layers import build_layers
from medgrid.models.networks import Network, build
from medgrid.models.weights import sha256_of
from medgrid.training import CURVES
from medgrid.training.data import Part, read_parts
from medgrid.training.loop import Run, make_generators
from medgrid.training.predictions import Predictions, write_predictions
from medgrid.training.stacked import StackedMLP
from medgrid.training.whole_network import WholeNetwork
from medgrid.utils.files import atomic_write, file_lock

SAVE_EVERY = 20.0  # seconds between checkpoints of a running stack, at least
SAVE_SHARE = 20  # and so many times what saving takes


@dataclass(frozen=True)
class Group:
    """Cells (by position in the job) that train as one stack, for one seed."""

    cells: list[int]
    seed: int

    @property
    def name(self) -> str:
        # the first cell tells the groups of a job apart; a list of hundreds is no file name
        return f"seed{self.seed}-cell{self.cells[0]}-of{len(self.cells)}"


def groups(cells: list[Training], seeds: list[int], stacked: bool) -> Iterator[Group]:
    """What trains together: same batch size, epochs and loss, same seed; without stacks, every replicate alone."""

    def shared(i: int) -> tuple:
        return (cells[i].batch_size, cells[i].epochs, cells[i].loss) if stacked else (i,)

    members = [list(each) for _, each in groupby(sorted(range(len(cells)), key=shared), key=shared)]
    for seed in seeds:
        for each in members:
            yield Group(each, seed)


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a job's trainings share."""

    settings: dict
    cells: list[Training]
    model: Model
    dropout: float  # of the inputs, where they are features for torchvision's own head
    weights: Path | str
    parts: dict[str, Part]
    device: torch.device

    @property
    def stacked(self) -> bool:
        return self.source in ("features", "pixels")

    @property
    def source(self) -> str:
        """What the inputs are: features, maps, pixels or images."""
        return self.settings["source"]

    def run(self, group: Group) -> Run:
        """A group's run, at its beginning."""
        members = [self.cells[i] for i in group.cells]
        generators = make_generators(group.seed)
        outputs = members[0].outputs or len(self.settings["classes"])
        train = self.parts["train"]
        shape = train.inputs.shape[2 if train.views else 1 :]
        if self.stacked:
            channels = shape[-1] if self.source == "pixels" else 1
            learner = StackedMLP(
                members, self.model.layers, shape.numel(), outputs, self.dropout, channels, generators, self.device
            )
        else:
            # torch's own generator initialises whole networks: a number for the head, one for a backbone from nothing
            seeds = torch.randint(2**62, (2,), generator=generators["initial"]).tolist()
            learner = WholeNetwork(
                self._network(members[0], outputs, seeds, shape),
                self.model if self.source == "images" else self.model.model_copy(update={"backbone": None}),
                members[0],
                self._augmentation(members[0]),
                generators,
                self.device,
            )
        measured = self.source in ("features", "maps") and not train.views
        return Run(learner, members, generators, self.settings["select"], train, measured)

    def _network(self, training: Training, outputs: int, seeds: list[int], shape: torch.Size) -> Network:
        if self.source == "maps":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seeds[0])
                head = build_layers(self.model.layers, shape[0], shape[-1], outputs)
            return Network(nn.Identity(), head, None, shape[0])
        # a backbone that trains from nothing is the replicate's own; a random one that stays frozen is part of the data
        own = {"backbone_seed": seeds[1]} if training.mode == "scratch" else {}
        size, _, channels = shape
        return build(self.model, outputs, training.normalisation, self.weights, channels, size, seeds[0], **own)

    def _augmentation(self, training: Training) -> Augmentation | None:
        if training.augmentation == "none" or training.views:
            return None
        return Augmentation.model_validate(self.settings["augmentations"][training.augmentation])


def _save(content: dict, path: Path) -> None:
    with atomic_write(path) as temporary:
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


def _train(run: Run, parts: dict[str, Part], checkpoint: Path, bar: tqdm, save_every: float) -> dict:
    """Train or go on training one group; returns its results on the CPU."""
    saved = _load(checkpoint, parts["train"].rows.device)
    if saved:
        run.restore(saved)
        bar.update(run.epoch)
    last, pause = time.monotonic(), save_every

    def after_epoch() -> None:
        nonlocal last, pause
        bar.update()
        if time.monotonic() - last >= pause and not run.finished:
            began = time.monotonic()
            _save(run.state(), checkpoint)
            last = time.monotonic()
            pause = max(save_every, SAVE_SHARE * (last - began)) if save_every else 0.0

    run.run(parts["validation"], after_epoch)
    bar.update(run.epochs - run.epoch)  # what an early end saved
    return run.results({part: parts[part] for part in (*HELD_OUT, UNLABELLED) if part in parts})


def train_job(
    settings: dict,
    split: str,
    target: str,
    checkpoints: str,
    features: str = "",
    stamp: str = "",
    tensors: str = "",
    weights: str = "",
    device: str = "auto",
    threads: int = 0,
    slots: int = 1,
    save_every: float = SAVE_EVERY,
) -> None:
    """Train every cell x seed of a job and write its primary results into the folder of `target`.

    Inputs are either `features` with their `stamp`, or `tensors` with the `weights` of the backbone, if it has a file.

    - `predictions.npz` (= `target`): for part in validation, test: `<part>_probabilities` float32
      [cells, seeds, 2 (best, last epoch), images, classes], `<part>_images` (ids), `<part>_labels` (class
      numbers); `unlabelled_probabilities` [cells, seeds, images, classes] of the best epoch and `unlabelled_images`,
      where there are such; `cells`, `seeds`, `classes`; [cells, seeds]: `best_epoch` and `diverged_at` (from 1; 0:
      none), `epochs` (trained), `seconds` (a stack's are shared out evenly); `penalty` [cells, seeds, 2].
    - `curves.csv`: cell, seed, epoch, train and validation loss (without penalty) and accuracy, rate; a row an epoch.
    - `weights.pt`: cell -> seed -> state of what trained, at the best epoch, for the replicates that
      `keep_weights` names.
    - `job.json`: settings, weights, device, precision, threads, versions.

    `checkpoints` is a folder of this job's own: finished stacks are kept there, the running one is saved every
    `save_every` seconds, and a killed job goes on from them to the same numbers. Whoever calls removes the folder
    once the results are safe.
    """
    folder, scratch = Path(target).parent, Path(checkpoints)
    with file_lock(f"{checkpoints}.lock", "an earlier job that still trains this job"):
        chosen = devices.choose(device, threads, slots)
        cells = [Training.model_validate(cell["training"]) for cell in settings["cells"]]
        model = Model.model_validate(settings["model"])
        backbone = json.loads(Path(stamp).read_text()) if stamp else None
        parts, paths = read_parts(features or tensors, split, settings["classes"], cells[0].views, chosen)
        job = TrainingJob(
            settings,
            cells,
            model,
            backbone["dropout"] if backbone else 0.0,
            Path(weights) if weights else settings["weights"],
            parts,
            chosen,
        )
        results = _train_all(job, scratch, save_every)
        _write(folder, settings, results, parts, paths)
        description = {
            **{name: settings[name] for name in ("cells", "select", "seeds", "classes", "model")},
            "source": job.source,
            "backbone": {
                "model": cells[0].model,
                "architecture": model.backbone,
                "weights": settings["weights"],
                "sha256": backbone["sha256"] if backbone else sha256_of(Path(weights)) if weights else None,
                **({name: backbone[name] for name in devices.STAMP} if backbone else dict.fromkeys(devices.STAMP)),
            },
            "training": devices.stamp(chosen, mixed=not job.stacked),
        }
        with atomic_write(folder / "job.json") as temporary:
            temporary.write_text(json.dumps(description, indent=2) + "\n")


def _train_all(job: TrainingJob, scratch: Path, save_every: float) -> dict[tuple[int, int], dict]:
    """Results of every (cell, seed) of a job, from finished groups or by training."""
    todo = list(groups(job.cells, job.settings["seeds"], job.stacked))
    total = sum(job.cells[group.cells[0]].epochs for group in todo)
    earlier = sum((scratch / f"{group.name}.pt").exists() for group in todo)
    if earlier:
        print(f"medgrid: {earlier} of {len(todo)} stacks were finished earlier", file=sys.stderr, flush=True)
    results: dict[tuple[int, int], dict] = {}
    with tqdm(total=total, desc=job.cells[0].model, unit="epoch", mininterval=1) as bar:
        for group in todo:
            done, running = scratch / f"{group.name}.pt", scratch / "running" / f"{group.name}.pt"
            result = _load(done, torch.device("cpu"))
            if result is None:
                result = _train(job.run(group), job.parts, running, bar, save_every)
                if not _kept(job.settings, group.seed):
                    del result["weights"]
                _save(result, done)
                running.unlink(missing_ok=True)
            else:
                bar.update(job.cells[group.cells[0]].epochs)
            for position, cell in enumerate(group.cells):
                results[cell, group.seed] = {
                    name: {key: tensor[position].clone() for key, tensor in value.items()}
                    if name == "weights"
                    else value[position]
                    for name, value in result.items()
                }
    return results


def _kept(settings: dict, seed: int) -> bool:
    return settings["keep_weights"] == "all" or (settings["keep_weights"] == "first" and seed == 0)


def _write(folder: Path, settings: dict, results: dict, parts: dict[str, Part], paths: dict) -> None:
    names, seeds = [cell["id"] for cell in settings["cells"]], settings["seeds"]

    def gather(name: str) -> np.ndarray:
        return torch.stack(
            [torch.stack([results[i, seed][name] for seed in seeds]) for i in range(len(names))]
        ).numpy()

    probabilities = {part: gather(part) for part in HELD_OUT}
    if UNLABELLED in parts:
        probabilities[UNLABELLED] = gather(UNLABELLED)[:, :, 0]
    per_training = {name: gather(name) for name in ("best_epoch", "diverged_at", "seconds", "penalty")}
    predictions = Predictions(
        names,
        seeds,
        settings["classes"],
        epochs=gather("ended_at"),
        probabilities=probabilities,
        images=paths,
        labels={part: parts[part].labels.cpu().numpy() for part in HELD_OUT},
        **per_training,
    )
    weights = {
        name: {seed: results[i, seed]["weights"] for seed in seeds if "weights" in results[i, seed]}
        for i, name in enumerate(names)
    }
    _save(weights, folder / "weights.pt")
    with atomic_write(folder / "curves.csv") as temporary, temporary.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("cell", "seed", "epoch", *CURVES, "lr"))
        for i, name in enumerate(names):
            for seed in seeds:
                result = results[i, seed]
                for epoch, values in enumerate(result["curves"][: result["ended_at"]].tolist(), 1):
                    writer.writerow((name, seed, epoch, *(f"{value:.7g}" for value in values)))
    write_predictions(folder, predictions)
