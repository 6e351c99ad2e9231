"""The text of `medgrid plan`: the expected cost of studies, compared with finished jobs."""

import csv
import json
import re
from pathlib import Path


def print_plans(settings: list[dict]) -> None:
    """Print what `profile.write_profile` measured of each study.

    `settings`, for each study: study, costs (the file of the profile), cells (how many), jobs (how many), gpu
    (whether jobs may request a GPU), benchmarks (folder with Snakemake's `<job>/<block of seeds>.tsv` of finished
    jobs).
    """
    # in one call, since the plan of another study may be printed at the same time
    print("".join(map(plan_text, settings)), end="", flush=True)


def plan_text(settings: dict) -> str:
    """The plan of one study, see `print_plans`."""
    profile = json.loads(Path(settings["costs"]).read_text(encoding="utf-8"))
    jobs, features = profile["jobs"], profile["features"]
    costs = [*jobs.values(), *features.values()]
    hours = {True: 0.0, False: 0.0}
    for cost in costs:
        hours[settings["gpu"] and cost["gpu"]] += cost["seconds"] / 3600
    no_gpu = settings["gpu"] and profile["device"].startswith("cpu")
    lines = {
        "cells": f"{settings['cells']:,}",
        "jobs": f"{settings['jobs']:,}: {len(jobs):,} training jobs, {len(features):,} sets of features",
        "images": ", ".join(f"{count:,} {part}" for part, count in profile["counts"].items() if count),
        "measured on": profile["device"] + "; no GPU found, so all hours are for a CPU" * no_gpu,
        "jobs that request a GPU": f"{hours[True]:.2f} h",
        "other jobs": f"{hours[False]:.2f} h",
        "images per second": _paces(jobs),
        "longest job": f"{max(cost['seconds'] for cost in costs) / 60:.1f} min",
        "largest memory of a job": f"{max(cost['memory_mib'] for cost in costs):,} MiB",
        "disk": f"{sum(cost['disk_mib'] for cost in costs):,} MiB",
        "early stopping": "can reduce the hours, which are for all epochs" * any(c["early"] for c in jobs.values()),
        "finished jobs": _finished(jobs, Path(settings["benchmarks"])),
    }
    width = max(map(len, lines))
    text = "".join(f"  {name:<{width}}  {value}\n" for name, value in lines.items() if value)
    return f"{settings['study']}\n{text}"


def _paces(jobs: dict[str, dict]) -> str:
    """Training speed of the slowest and the fastest job."""
    paces = sorted((cost["images_per_second"], name.rsplit("-", 1)[0]) for name, cost in jobs.items())
    texts = [f"{pace:,.0f} ({name})" for pace, name in paces]
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def _finished(jobs: dict[str, dict], benchmarks: Path) -> str:
    """Planned and real seconds of finished jobs, block of seeds by block; empty if there are none."""
    planned = real = 0.0
    count = 0
    for name, cost in jobs.items():
        for file in sorted((benchmarks / name).glob("seeds-*.tsv")):
            with file.open(newline="", encoding="utf-8") as rows:
                real += float(next(csv.DictReader(rows, delimiter="\t"))["s"])
            planned += cost["seconds"] * _count_seeds(file.stem) / cost["seeds"]
            count += 1
    if not count:
        return ""
    return f"{count}: planned {planned:,.0f} s, took {real:,.0f} s, ratio {planned / real:.2f}"


def _count_seeds(block: str) -> int:
    """Number of seeds of a block such as `seeds-0-4` or `seeds-3`."""
    numbers = [int(number) for number in re.findall(r"\d+", block)]
    return numbers[-1] - numbers[0] + 1
