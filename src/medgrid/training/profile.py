"""What a study will cost on this device: a short calibration with random images, before anything is fetched."""

import csv
import json
import math
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from medgrid.config import Augmentation, Model, Training
from medgrid.data import HELD_OUT, PARTS, UNLABELLED
from medgrid.models import device as devices
from medgrid.models.augment import augment, to_float
from medgrid.models.backbones import FrozenBackbone
from medgrid.training.data import Part
from medgrid.training.job import Group, TrainingJob, groups
from medgrid.training.loop import Run, measure
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

AT_MOST = 3.0  # seconds that one measured step may take: larger batches are extrapolated from smaller ones
LONG_ENOUGH = 0.5  # seconds over which steps are averaged
FIRST = 8  # images of the first step
START = 8.0  # seconds that a job takes to import torch and read its inputs
MIB = 1 << 20


def count_images(split: str, declared: dict[str, int] | None) -> dict[str, int]:
    """Images of each part: of the split if it has been made, else as `declared`."""
    if Path(split).is_file():
        with Path(split).open(newline="", encoding="utf-8") as handle:
            found = Counter(row["part"] for row in csv.DictReader(handle))
        return {part: found[part] for part in (*PARTS, UNLABELLED)}
    if declared is None:
        raise MedgridError("how many images there are is not known yet; name it as `count` of the data set")
    return declared


def _seconds(act: Callable[[int], object], most: int, device: torch.device) -> tuple[float, int]:
    """Seconds per image of `act(images)` with `most` images, and the number of images with which that was measured.

    What a step costs whatever its images (an optimizer's arithmetic on many weights) is told from what each image
    costs by a line through two sizes, where `most` images would take too long.
    """

    def timed(images: int, times: int = 1) -> float:
        began = time.perf_counter()
        for _ in range(times):
            act(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - began) / times

    def averaged(images: int) -> float:
        timed(images)  # the first step allocates
        taken = timed(images)
        return taken if taken > LONG_ENOUGH else timed(images, min(50, math.ceil(LONG_ENOUGH / taken)))

    first = min(FIRST, most)
    taken = averaged(first)
    images = min(most, int(first * AT_MOST / taken))
    if images <= first:
        return taken / first, first
    longer = averaged(images)
    slope = max(0.0, (longer - taken) / (images - first))
    return (longer + slope * (most - images)) / most, images


def _memory(device: torch.device) -> float:
    """MiB that this process has held at most: of the device, or of main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _inputs(settings: dict, image: dict, images: int) -> torch.Tensor:
    """Random inputs of a job, in the shape of its real ones: [images, ...]."""
    training, channels = settings["cells"][0]["training"], 1 if image["colour"] == "grey" else 3
    pixels = torch.randint(256, (images, image["size"], image["size"], channels), dtype=torch.uint8)
    if settings["source"] not in ("features", "maps"):
        return pixels
    model = Model.model_validate(settings["model"])
    backbone = FrozenBackbone(model.backbone, settings["feature_level"], "random", training["normalisation"])
    with torch.inference_mode():
        shape = backbone(to_float(pixels[:1])).shape[1:]
    return torch.rand(images, *shape)


def _trial(settings: dict, inputs: torch.Tensor, device: torch.device) -> TrainingJob:
    """A job's job on random inputs."""
    model = Model.model_validate(settings["model"])
    cells = [Training.model_validate(cell["training"]).model_copy(update={"views": 0}) for cell in settings["cells"]]
    rows = torch.arange(len(inputs))
    part = Part(inputs.to(device), rows.to(device), (rows % len(settings["classes"])).to(device))
    return TrainingJob(settings, cells, model, 0.0, "random", dict.fromkeys(PARTS, part), device)


def _profile(job: TrainingJob, group: Group) -> dict[str, float]:
    """Seconds per image of a group's training and evaluation, and MiB at its batch size."""
    if job.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(job.device)
    before = _memory(job.device)
    run: Run = job.run(group)
    run.learner.set_rates([schedule.rate for schedule in run.schedules])
    part = job.parts["train"]

    def step(images: int) -> None:
        indices = torch.arange(images, device=job.device)
        run.learner.step(part.batch(indices), part.labels[indices])

    train, images = _seconds(step, min(len(part), run.batch_size), job.device)

    def look(images: int) -> None:
        measure(run.learner, Part(part.inputs, part.rows[:images], part.labels[:images]))

    evaluate, _ = _seconds(look, images, job.device)
    grown = max(0.0, _memory(job.device) - before) * run.batch_size / images
    parameters = sum(tensor.numel() for tensor in run.learner.weights().values()) / len(group.cells)
    return {"train": train, "evaluate": evaluate, "memory": before + grown, "parameters": parameters}


def _kind(settings: dict, group: Group) -> str:
    """What makes two groups cost the same."""
    training = settings["cells"][group.cells[0]]["training"]
    names = ("model", "mode", "unfrozen", "batch_size", "loss", "optimizer", "augmentation")
    return json.dumps([settings["source"], len(group.cells), *(training[name] for name in names)])


def _job_cost(settings: dict, counts: dict[str, int], paces: dict[str, dict], job: TrainingJob, values: int) -> dict:
    """Seconds, MiB of memory and of disk of one job. `values`: numbers in one of its inputs."""
    seconds, memory, trained, training = START, 0.0, 0, 0.0
    held_out = sum(counts[part] for part in HELD_OUT)
    measured = settings["source"] in ("features", "maps") and not job.settings["cells"][0]["training"]["views"]
    for group in groups(job.cells, settings["seeds"], job.stacked):
        pace = paces[_kind(settings, group)]
        looked_at = counts["validation"] + measured * counts["train"]
        epoch = pace["train"] * counts["train"] + pace["evaluate"] * looked_at
        epochs = job.cells[group.cells[0]].epochs
        seconds += epochs * epoch
        trained += len(group.cells) * epochs * counts["train"]
        training += epochs * pace["train"] * counts["train"]
        seconds += 2 * pace["evaluate"] * (held_out + counts[UNLABELLED])
        memory = max(memory, pace["memory"])
    bytes_each = 1 if settings["source"] in ("images", "pixels") else 4
    inputs = values * bytes_each * sum(counts.values()) / MIB
    replicates = len(settings["cells"]) * len(settings["seeds"])
    predictions = replicates * (2 * held_out + counts[UNLABELLED]) * len(settings["classes"]) * 4 / MIB
    largest = max(pace["parameters"] for pace in paces.values())
    kept = {"first": len(settings["cells"]), "all": replicates, "none": 0}[settings["keep_weights"]]
    return {
        "seconds": round(seconds, 1),
        "images_per_second": round(trained / training, 1),  # in training; an image counts for each replicate
        "memory_mib": math.ceil(memory + inputs),
        "disk_mib": math.ceil(predictions + largest * 4 * kept / MIB),
        "early": any(cell.patience for cell in job.cells),
        "gpu": settings["source"] != "features",  # heads on features leave GPUs to others
    }


def write_profile(
    settings: dict, target: str, split: str, device: str = "auto", threads: int = 0, slots: int = 1
) -> None:
    """Write the JSON file `target`: what each job of a study costs here, and each set of features.

    `settings`: image (size, colour), declared (images of each part, used until the `split` is made; or None),
    jobs (their settings by name, with `cut` where they train on features), features (settings by name).

    A job's seconds are those of all its epochs: early stopping makes it cheaper. Memory is that of the device which
    trains; on a CPU it includes what the process holds beside.
    """
    chosen = devices.choose(device, threads, slots)
    counts = count_images(split, settings["declared"])
    image, costs, paces = settings["image"], {}, {}
    shapes: dict[str, torch.Tensor] = {}
    all_threads = torch.get_num_threads()
    for name, job_settings in tqdm(settings["jobs"].items(), desc="profile", unit="job"):
        # as the rules have it: one thread, but for whole networks; heads on features leave a cluster's GPUs alone
        torch.set_num_threads(all_threads if job_settings["source"] == "images" else 1)
        own = torch.device("cpu") if job_settings["source"] == "features" and chosen.type == "cpu" else chosen
        largest = max(cell["training"]["batch_size"] for cell in job_settings["cells"])
        kind = json.dumps([job_settings["source"], job_settings["model"], job_settings.get("feature_level"), largest])
        if kind not in shapes:
            shapes[kind] = _inputs(job_settings, image, min(largest, max(FIRST, counts["train"])))
        job = _trial(job_settings, shapes[kind], own)
        for group in groups(job.cells, job_settings["seeds"][:1], job.stacked):
            if (key := _kind(job_settings, group)) not in paces:
                paces[key] = _profile(job, group)
        own_paces = {
            _kind(job_settings, g): paces[_kind(job_settings, g)]
            for g in groups(job.cells, job_settings["seeds"], job.stacked)
        }
        costs[name] = _job_cost(job_settings, counts, own_paces, job, shapes[kind][0].numel())
    torch.set_num_threads(all_threads)
    features = {name: _feature_cost(each, image, counts, chosen) for name, each in settings["features"].items()}
    content = {"device": devices.describe(chosen), "counts": counts, "jobs": costs, "features": features}
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _feature_cost(settings: dict, image: dict, counts: dict[str, int], device: torch.device) -> dict:
    """Seconds and MiB of the features of all images."""
    backbone = FrozenBackbone(settings["model"], settings["feature_level"], "random", settings["normalisation"]).to(
        device
    )
    generator = torch.Generator().manual_seed(0)
    changes = Augmentation.model_validate(settings["augmentation"]) if settings["views"] else None
    pixels = torch.randint(256, (64, image["size"], image["size"], 3), dtype=torch.uint8).to(device)
    made = []

    @torch.inference_mode()
    def pass_through(images: int) -> None:
        block = pixels[:images]
        made[:] = [backbone(augment(block, changes, generator) if changes else to_float(block)).cpu()]

    each, _ = _seconds(pass_through, 16 if device.type == "cpu" else 64, device)
    images = sum(counts.values()) * (1 + settings["views"])
    return {
        "seconds": round(START + each * images, 1),
        "memory_mib": math.ceil(_memory(device)),
        "disk_mib": math.ceil(made[0][0].numel() * 4 * images / MIB),
        "gpu": True,
    }


def _finished(jobs: dict[str, dict], benchmarks: str) -> str:
    """What finished jobs took, beside what was planned; empty where there are none."""
    planned, taken = [], []
    for name, cost in jobs.items():
        file = Path(benchmarks, f"{name}.tsv")
        if file.exists():
            with file.open(newline="") as handle:
                taken.append(float(next(csv.DictReader(handle, delimiter="\t"))["s"]))
            planned.append(cost["seconds"])
    if not taken:
        return ""
    ratio = sum(planned) / sum(taken)
    return f"{len(taken)}: planned {sum(planned):,.0f} s, took {sum(taken):,.0f} s, ratio {ratio:.2f}"


def _paces(jobs: dict[str, dict]) -> str:
    """Training's slowest and quickest job."""
    paces = sorted((cost["images_per_second"], name.rsplit("-", 1)[0]) for name, cost in jobs.items())
    named = [f"{pace:,.0f} ({name})" for pace, name in paces]
    return named[0] if len(paces) == 1 else f"{named[0]} to {named[-1]}"


def print_costs(settings: list[dict]) -> None:
    """Print what `write_costs` found, and what finished jobs really took.

    `settings`, for each study: study, costs (the file), cells, jobs, gpu (whether jobs may ask for one), benchmarks
    (folder of Snakemake's own, where `<job>.tsv` has the seconds of a finished job).
    """
    text, unseen = "", ", where no GPU was seen: all hours below are a CPU's"
    for each in settings:
        found = json.loads(Path(each["costs"]).read_text(encoding="utf-8"))
        every = {**found["jobs"], **found["features"]}
        hours = {True: 0.0, False: 0.0}
        for cost in every.values():
            hours[each["gpu"] and cost["gpu"]] += cost["seconds"] / 3600
        early = any(cost["early"] for cost in found["jobs"].values())
        lines = {
            "cells": f"{each['cells']:,}",
            "jobs": f"{each['jobs']:,}: {len(found['jobs']):,} jobs, {len(found['features']):,} sets of features",
            "images": ", ".join(f"{count:,} {part}" for part, count in found["counts"].items() if count),
            "calibrated on": found["device"] + unseen * (each["gpu"] and found["device"].startswith("cpu")),
            "jobs that ask for a GPU": f"{hours[True]:.2f} h",
            "jobs that do not": f"{hours[False]:.2f} h",
            "images per second": _paces(found["jobs"]),
            "longest job": f"{max(cost['seconds'] for cost in every.values()) / 60:.1f} min",
            "most memory of a job": f"{max(cost['memory_mib'] for cost in every.values()):,} MiB",
            "disk": f"{sum(cost['disk_mib'] for cost in every.values()):,} MiB",
            "early stopping": "makes it cheaper; the hours are of all epochs" if early else "",
            "finished jobs": _finished(found["jobs"], each["benchmarks"]),
        }
        width = max(map(len, lines))
        text += f"{each['study']}\n"
        text += "".join(f"  {name:<{width}}  {value}\n" for name, value in lines.items() if value)
    print(text, end="", flush=True)  # at once: another study's plan may be printed at the same time
