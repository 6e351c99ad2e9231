"""The expected cost of a study on this device, measured with random images, so that no download is needed."""

import csv
import json
import math
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from medgrid.config import Augmentation, Model, Training
from medgrid.data import HELD_OUT, PARTS, UNLABELLED
from medgrid.models import device as devices
from medgrid.models.augment import augment, augmentation_generators
from medgrid.models.backbones import INITIAL_SEED, FrozenBackbone
from medgrid.models.networks import to_float
from medgrid.training.data import Part
from medgrid.training.job import Group, TrainingJob, groups
from medgrid.training.loop import Run, measure
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

MAX_STEP = 3.0  # seconds that one measured step may take: larger batches are extrapolated from smaller ones
AVERAGED = 0.5  # seconds over which steps are averaged
FIRST = 8  # images of the first measured step
START_UP = 8.0  # seconds in which a job imports torch and reads its inputs
MIB = 1 << 20


@dataclass(frozen=True)
class Pace:
    """Measured cost of a group: seconds per image in training and evaluation, MiB of memory, parameters per cell."""

    train: float
    evaluate: float
    memory: float
    parameters: float


def write_profile(
    settings: dict, target: str, split: str, device: str = "auto", threads: int = 0, slots: int = 1
) -> None:
    """Write the JSON file `target`: device, counts, and what each training job and each set of features costs here.

    `settings`: image (size, colour), declared (number of images in each part, used until the file `split` exists; or
    None), jobs (settings by name; with `feature_level`, if they train on features), features (settings by name).

    The seconds of a job are those of all its epochs and seeds; early stopping reduces them. Memory is that of the
    device that trains; on a CPU it includes all memory of the process. Raises MedgridError when the number of images
    is not known.
    """
    chosen = devices.choose(device, threads, slots)
    counts = count_images(split, settings["declared"])
    jobs = _JobProfiler(settings["image"], counts, chosen).profile(settings["jobs"])
    features = {
        name: _feature_cost(each, settings["image"], counts, chosen) for name, each in settings["features"].items()
    }
    content = {"device": devices.describe(chosen), "counts": counts, "jobs": jobs, "features": features}
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def count_images(split: str, declared: dict[str, int] | None) -> dict[str, int]:
    """Images of each part: counted in the CSV `split` if it exists, otherwise as `declared`."""
    if Path(split).is_file():
        with Path(split).open(newline="", encoding="utf-8") as file:
            counted = Counter(row["part"] for row in csv.DictReader(file))
        return {part: counted[part] for part in (*PARTS, UNLABELLED)}
    if declared is None:
        raise MedgridError(
            "the number of images in each part is not known yet; set `count` of the data set, or, if the archive "
            "splits it, run the rule `split` first"
        )
    return declared


class _JobProfiler:
    """Measures training jobs; groups of the same kind are measured once."""

    def __init__(self, image: dict, counts: dict[str, int], device: torch.device):
        self.image, self.counts, self.device = image, counts, device
        self.inputs: dict[str, torch.Tensor] = {}
        self.paces: dict[str, Pace] = {}

    def profile(self, jobs: dict[str, dict]) -> dict[str, dict]:
        """Cost of each job, by name."""
        threads, costs = torch.get_num_threads(), {}
        try:
            for name, settings in tqdm(jobs.items(), desc="profile", unit="job"):
                # as the rules run them: whole networks use all threads, other jobs one
                torch.set_num_threads(threads if settings["source"] == "images" else 1)
                costs[name] = self._job_cost(settings)
        finally:
            torch.set_num_threads(threads)
        return costs

    def _job_cost(self, settings: dict) -> dict:
        inputs = self._inputs(settings)
        job = _random_job(settings, inputs, self.device)
        members = list(groups(job.cells, settings["seeds"], job.stacked))
        for group in members:
            if (kind := _kind(settings, group)) not in self.paces:
                self.paces[kind] = _measure_group(job, group)
        paces = [self.paces[_kind(settings, group)] for group in members]
        return job_cost(job, members, paces, self.counts, inputs[0].numel())

    def _inputs(self, settings: dict) -> torch.Tensor:
        """Random inputs for the job's largest batch, kept for jobs with inputs of the same shape."""
        largest = max(cell["training"]["batch_size"] for cell in settings["cells"])
        kind = json.dumps([settings["source"], settings["model"], settings.get("feature_level"), largest])
        if kind not in self.inputs:
            images = min(largest, max(FIRST, self.counts["train"]))
            self.inputs[kind] = _random_inputs(settings, self.image, images)
        return self.inputs[kind]


def _kind(settings: dict, group: Group) -> str:
    """Key that is equal for groups of the same cost."""
    training = settings["cells"][group.cells[0]]["training"]
    names = ("model", "mode", "unfrozen", "batch_size", "loss", "optimizer", "augmentation")
    return json.dumps([settings["source"], len(group.cells), *(training[name] for name in names)])


def _random_inputs(settings: dict, image: dict, images: int) -> torch.Tensor:
    """Random inputs of a job, in the shape of its real ones: [images, ...]."""
    channels = 1 if image["colour"] == "grey" else 3
    pixels = torch.randint(256, (images, image["size"], image["size"], channels), dtype=torch.uint8)
    if settings["source"] not in ("features", "maps"):
        return pixels
    name, normalisation = settings["model"]["backbone"], settings["cells"][0]["training"]["normalisation"]
    backbone = FrozenBackbone(name, settings["feature_level"], "random", normalisation)
    with torch.inference_mode():
        shape = backbone(to_float(pixels[:1])).shape[1:]
    return torch.rand(images, *shape)


def _random_job(settings: dict, inputs: torch.Tensor, device: torch.device) -> TrainingJob:
    """A job on random inputs."""
    model = Model.model_validate(settings["model"])
    cells = [Training.model_validate(cell["training"]).model_copy(update={"views": 0}) for cell in settings["cells"]]
    rows = torch.arange(len(inputs))
    part = Part(inputs.to(device), rows.to(device), (rows % len(settings["classes"])).to(device))
    return TrainingJob(settings, cells, model, 0.0, "random", dict.fromkeys(PARTS, part), device)


def _measure_group(job: TrainingJob, group: Group) -> Pace:
    """Train and evaluate a group with batches of random inputs."""
    if job.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(job.device)
    before = _peak_memory(job.device)
    run: Run = job.start(group)
    run.learner.set_rates([schedule.rate for schedule in run.schedules])
    part = job.parts["train"]

    def train(images: int) -> None:
        indices = torch.arange(images, device=job.device)
        run.learner.step(part.batch(indices), part.labels[indices])

    def evaluate(images: int) -> None:
        measure(run.learner, Part(part.inputs, part.rows[:images], part.labels[:images]))

    train_pace, images = seconds_per_image(train, min(len(part), run.batch_size), job.device)
    evaluation_pace, _ = seconds_per_image(evaluate, images, job.device)
    growth = max(0.0, _peak_memory(job.device) - before) * run.batch_size / images
    parameters = sum(tensor.numel() for tensor in run.learner.weights().values()) / len(group.cells)
    return Pace(train_pace, evaluation_pace, before + growth, parameters)


def _peak_memory(device: torch.device) -> float:
    """Peak memory of this process in MiB: that of the GPU, or main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds_per_image(act: Callable[[int], object], most: int, device: torch.device) -> tuple[float, int]:
    """Seconds per image of `act(images)` for `most` images, and the number of images with which it was measured.

    When `most` images would take too long, they are extrapolated along a line through two smaller numbers of images.
    That separates the cost of an image from that of a step, such as an optimizer's arithmetic on many weights.
    """

    def timed(images: int, times: int = 1) -> float:
        start = time.perf_counter()
        for _ in range(times):
            act(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - start) / times

    def averaged(images: int) -> float:
        timed(images)  # the first step allocates memory
        seconds = timed(images)
        return seconds if seconds > AVERAGED else timed(images, min(50, math.ceil(AVERAGED / seconds)))

    first = min(FIRST, most)
    seconds = averaged(first)
    images = min(most, int(first * MAX_STEP / seconds))
    if images <= first:
        return seconds / first, first
    longer = averaged(images)
    slope = max(0.0, (longer - seconds) / (images - first))
    return (longer + slope * (most - images)) / most, images


def job_cost(
    job: TrainingJob, members: list[Group], paces: list[Pace], counts: dict[str, int], input_size: int
) -> dict:
    """Cost of a job with the groups `members`, whose paces are `paces`.

    `input_size` is how many numbers one of its inputs has. Keys: seconds, images_per_second (in training; an image
    counts for each replicate), memory_mib, disk_mib, seeds (how many), early (some cell has early stopping), gpu
    (whether it requests a GPU).
    """
    settings, held_out = job.settings, sum(counts[part] for part in HELD_OUT)
    measured = job.source in ("features", "maps") and not settings["cells"][0]["training"]["views"]
    evaluated = counts["validation"] + measured * counts["train"]
    trained, training, evaluation = 0, 0.0, 0.0
    for group, pace in zip(members, paces, strict=True):
        epochs = job.cells[group.cells[0]].epochs
        trained += len(group.cells) * epochs * counts["train"]
        training += pace.train * epochs * counts["train"]
        evaluation += pace.evaluate * (epochs * evaluated + 2 * (held_out + counts[UNLABELLED]))
    inputs = input_size * (1 if job.source in ("images", "pixels") else 4) * sum(counts.values()) / MIB
    return {
        "seconds": round(START_UP + training + evaluation, 1),
        "images_per_second": round(trained / training, 1),
        "memory_mib": math.ceil(max(pace.memory for pace in paces) + inputs),
        "disk_mib": math.ceil(_disk_mib(settings, counts, max(pace.parameters for pace in paces))),
        "seeds": len(settings["seeds"]),
        "early": any(cell.patience for cell in job.cells),
        "gpu": job.source != "features",  # heads on features leave GPUs to other jobs
    }


def _disk_mib(settings: dict, counts: dict[str, int], parameters: float) -> float:
    """Size of a job's predictions and kept weights."""
    images = 2 * sum(counts[part] for part in HELD_OUT) + counts[UNLABELLED]
    replicates = len(settings["cells"]) * len(settings["seeds"])
    predictions = replicates * images * len(settings["classes"]) * 4
    kept = {"first": len(settings["cells"]), "all": replicates, "none": 0}[settings["keep_weights"]]
    return (predictions + parameters * 4 * kept) / MIB


def _feature_cost(settings: dict, image: dict, counts: dict[str, int], device: torch.device) -> dict:
    """Cost of the features of all images: seconds, memory_mib, disk_mib, gpu."""
    level, normalisation = settings["feature_level"], settings["normalisation"]
    backbone = FrozenBackbone(settings["model"], level, "random", normalisation).to(device)
    generators = augmentation_generators(INITIAL_SEED)
    augmentation = Augmentation.model_validate(settings["augmentation"]) if settings["views"] else None
    pixels = torch.randint(256, (64, image["size"], image["size"], 3), dtype=torch.uint8).to(device)
    sizes = set()

    @torch.inference_mode()
    def compute(images: int) -> None:
        block = pixels[:images]
        prepared = augment(block, augmentation, generators) if augmentation else to_float(block)
        sizes.add(backbone(prepared).cpu()[0].numel())

    pace, _ = seconds_per_image(compute, 16 if device.type == "cpu" else 64, device)
    images = sum(counts.values()) * (1 + settings["views"])
    return {
        "seconds": round(START_UP + pace * images, 1),
        "memory_mib": math.ceil(_peak_memory(device)),
        "disk_mib": math.ceil(max(sizes) * 4 * images / MIB),
        "gpu": True,
    }
