"""A training job: cells that share their inputs, for a block of seeds; trained in groups, resumable at any time."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from medgrid.config import Augmentation, Model, Training
from medgrid.data import HELD_OUT, UNLABELLED
from medgrid.models import device as devices
from medgrid.models.layers import build_layers
from medgrid.models.networks import Network, build
from medgrid.models.weights import sha256_of
from medgrid.training.checkpoints import SAVE_EVERY, Checkpoints
from medgrid.training.data import Part, read_parts
from medgrid.training.loop import Run, make_generators
from medgrid.training.outputs import Results, write_description, write_outputs
from medgrid.training.stacked import StackedMLP
from medgrid.training.whole_network import WholeNetwork
from medgrid.utils.files import atomic_folder, file_lock


@dataclass(frozen=True)
class Group:
    """Cells (positions within the job) that train together, as one stack, for one seed."""

    cells: list[int]
    seed: int

    @property
    def name(self) -> str:
        # the first cell identifies a group within its job; a list of hundreds would be too long for a file name
        return f"seed{self.seed}-cell{self.cells[0]}-of{len(self.cells)}"


def groups(cells: list[Training], seeds: list[int], stacked: bool) -> Iterator[Group]:
    """Groups of a job, seed by seed: stacks of cells with the same batch size, epochs and loss; or single cells."""

    def shared(i: int) -> tuple:
        return (cells[i].batch_size, cells[i].epochs, cells[i].loss) if stacked else (i,)

    members = [list(positions) for _, positions in groupby(sorted(range(len(cells)), key=shared), key=shared)]
    for seed in seeds:
        for positions in members:
            yield Group(positions, seed)


@dataclass(frozen=True)
class TrainingJob:
    """Everything that the trainings of a job share."""

    settings: dict
    cells: list[Training]
    model: Model
    dropout: float  # rate on the inputs: that of torchvision's head, when they are its features
    weights: Path | str  # of the backbone: a file, `random` or `random_calibrated`
    parts: dict[str, Part]
    device: torch.device

    @property
    def stacked(self) -> bool:
        return self.source in ("features", "pixels")

    @property
    def source(self) -> str:
        """What the inputs are: features, maps, pixels or images."""
        return self.settings["source"]

    def start(self, group: Group) -> Run:
        """The run of a group before its first epoch."""
        members = [self.cells[i] for i in group.cells]
        generators = make_generators(group.seed)
        train = self.parts["train"]
        make_learner = self._stack if self.stacked else self._whole_network
        learner = make_learner(members, train.shape, generators)
        measured = self.source in ("features", "maps") and not train.views
        return Run(learner, members, generators, self.settings["select"], train, measured)

    def keeps_weights(self, seed: int) -> bool:
        keep = self.settings["keep_weights"]
        return keep == "all" or (keep == "first" and seed == 0)

    def _outputs(self, training: Training) -> int:
        return training.outputs or len(self.settings["classes"])

    def _stack(
        self, members: list[Training], shape: torch.Size, generators: dict[str, torch.Generator]
    ) -> StackedMLP:
        outputs = self._outputs(members[0])
        channels = shape[-1] if self.source == "pixels" else 1
        return StackedMLP(
            members, self.model.layers, shape.numel(), outputs, self.dropout, channels, generators, self.device
        )

    def _whole_network(
        self, members: list[Training], shape: torch.Size, generators: dict[str, torch.Generator]
    ) -> WholeNetwork:
        (training,) = members
        # torch's global generator initialises whole networks: one seed for the head, one for a backbone from scratch
        seeds = torch.randint(2**62, (2,), generator=generators["initial"]).tolist()
        network = self._network(training, seeds, shape)
        model = self.model if self.source == "images" else self.model.model_copy(update={"backbone": None})
        return WholeNetwork(network, model, training, self._augmentation(training), generators, self.device)

    def _network(self, training: Training, seeds: list[int], shape: torch.Size) -> Network:
        outputs = self._outputs(training)
        if self.source == "maps":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seeds[0])
                head = build_layers(self.model.layers, shape[0], shape[-1], outputs)
            return Network(nn.Identity(), head, None, shape[0])
        # a backbone that trains from scratch has the replicate's seed; a random one that stays frozen a fixed one
        backbone_seed = {"backbone_seed": seeds[1]} if training.mode == "scratch" else {}
        size, _, channels = shape
        return build(
            self.model, outputs, training.normalisation, self.weights, channels, size, seeds[0], **backbone_seed
        )

    def _augmentation(self, training: Training) -> Augmentation | None:
        if training.augmentation == "none" or training.views:
            return None
        return Augmentation.model_validate(self.settings["augmentations"][training.augmentation])


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
    """Train every cell of a job with every seed and write the results to the folder `target`.

    `settings`: cells (id, training), seeds, source, select, classes, model, weights, augmentations, keep_weights. The
    inputs are `features` and their `stamp`, or `tensors` and the `weights` of the backbone, if they are a file.

    The folder appears when all files are complete:

    - `predictions.npz`: see `medgrid.training.predictions`.
    - `curves.csv`: cell, seed, epoch, loss (without penalty) and accuracy of training and validation, learning rate.
    - `weights.pt`: cell -> seed -> state of what was trained, at the best epoch. `keep_weights` first means seed 0.
    - `job.json`: settings, weights, device, precision, threads, versions.

    `checkpoints` is a folder for all blocks of seeds of the same cells. Finished groups are kept there, the running
    one is saved every `save_every` seconds, and a killed job continues to the same numbers. The caller removes it
    when the results are complete.
    """
    lock = Path(checkpoints, f"{Path(target).name}.lock")
    with file_lock(lock, "another process that trains the same job"):
        chosen = devices.choose(device, threads, slots)
        backbone = json.loads(Path(stamp).read_text(encoding="utf-8")) if stamp else None
        cells = [Training.model_validate(cell["training"]) for cell in settings["cells"]]
        parts, paths = read_parts(features or tensors, split, settings["classes"], cells[0].views, chosen)
        job = TrainingJob(
            settings,
            cells,
            Model.model_validate(settings["model"]),
            backbone["dropout"] if backbone else 0.0,
            Path(weights) if weights else settings["weights"],
            parts,
            chosen,
        )
        results = _train_all(job, Checkpoints(Path(checkpoints), save_every))
        with atomic_folder(target) as folder:
            write_outputs(folder, settings, results, parts, paths)
            write_description(folder, _describe(job, backbone))


def _describe(job: TrainingJob, stamp: dict | None) -> dict:
    """Content of job.json; `stamp` is that of the features, if the job trained on features."""
    settings = job.settings
    sha256 = stamp["sha256"] if stamp else sha256_of(job.weights) if isinstance(job.weights, Path) else None
    computed = {name: stamp[name] for name in devices.STAMP} if stamp else dict.fromkeys(devices.STAMP)
    return {
        **{name: settings[name] for name in ("cells", "select", "seeds", "classes", "model")},
        "source": job.source,
        "backbone": {
            "model": job.cells[0].model,
            "architecture": job.model.backbone,
            "weights": settings["weights"],
            "sha256": sha256,
            **computed,
        },
        "training": devices.stamp(job.device, mixed=not job.stacked),
    }


def _train_all(job: TrainingJob, checkpoints: Checkpoints) -> Results:
    """Results of all trainings of a job: of finished groups as they were saved, of the others by training them."""
    todo = list(groups(job.cells, job.settings["seeds"], job.stacked))
    if finished := sum(checkpoints.is_finished(group.name) for group in todo):
        print(f"medgrid: resuming, {finished} of {len(todo)} groups are finished", file=sys.stderr, flush=True)
    epochs = sum(job.cells[group.cells[0]].epochs for group in todo)
    results: Results = {}
    with tqdm(total=epochs, desc=job.cells[0].model, unit="epoch", mininterval=1) as bar:
        for group in todo:
            group_results = checkpoints.load_finished(group.name)
            if group_results is None:
                group_results = _train_group(job, group, checkpoints, bar)
                checkpoints.save_finished(group.name, group_results)
            else:
                bar.update(job.cells[group.cells[0]].epochs)
            for member, cell in enumerate(group.cells):
                results[cell, group.seed] = _member_results(group_results, member)
    return results


def _member_results(results: dict, member: int) -> dict:
    """Results of one member of a group. Weights are copied, as saving a slice would save the whole tensor."""
    values = {name: value[member] for name, value in results.items() if name != "weights"}
    if "weights" in results:
        values["weights"] = {name: tensor[member].clone() for name, tensor in results["weights"].items()}
    return values


def _train_group(job: TrainingJob, group: Group, checkpoints: Checkpoints, bar: tqdm) -> dict:
    """Train one group from its start or from its last checkpoint; returns its results, on the CPU."""
    run, parts = job.start(group), job.parts
    if saved := checkpoints.load_running(group.name, job.device):
        run.restore(saved)
        bar.update(run.epoch)
    save_if_due = checkpoints.saver(group.name, run.state)

    def after_epoch() -> None:
        bar.update()
        if not run.finished:
            save_if_due()

    run.run(parts["validation"], after_epoch)
    bar.update(run.epochs - run.epoch)  # epochs that early stopping saved
    results = run.results({part: parts[part] for part in (*HELD_OUT, UNLABELLED) if part in parts})
    if not job.keeps_weights(group.seed):
        del results["weights"]
    return results
