"""How much slower jobs get beside other processes: one busy process per core.

python benchmarks/shared_machine.py

First the demo, from nothing in a temporary folder: each job's wall time alone and beside the busy processes, from
Snakemake's own benchmark files, and the ratio. Where every process gets its fair share it is about 2 for two jobs at
a time on two cores.

Then two jobs of the demo again, on all cores, with threads that spin while they wait for each other (libgomp's
default of 300,000 turns) and with threads that sleep (as `medgrid` has it): medians of alternating runs.
"""

import contextlib
import csv
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

CORES = len(os.sched_getaffinity(0))
MEDGRID = [sys.executable, "-m", "medgrid"]
REPEATS = 3
WAITING = {"spin": {"GOMP_SPINCOUNT": "300000"}, "sleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
FEATURES = {
    "model": "resnet50", "normalisation": "own", "weights": "random", "cut": "output", "augmentation": None,
    "views": 0,
}  # fmt: skip


def burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    processes = [multiprocessing.Process(target=burn, daemon=True) for _ in range(CORES)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()


def demo(folder: Path) -> dict[str, float]:
    """Run the demo into `folder`; returns the wall time in seconds of each job, by rule and name."""
    config = [f"results={folder / 'results'}", f"data={folder / 'data'}"]
    command = [*MEDGRID, "run", "--workflow-profile", "demo", "--config", *config]
    subprocess.run(command, check=True, capture_output=True)
    seconds = {}
    for file in (folder / "data/benchmarks").rglob("*.tsv"):
        with file.open(newline="") as handle:
            job = file.relative_to(folder / "data/benchmarks").with_suffix("")
            seconds[str(job)] = float(next(csv.DictReader(handle, delimiter="\t"))["s"])
    return seconds


def jobs(data: Path) -> dict[str, list[str]]:
    """Commands of jobs that compute on all cores, on what the demo has left in `data`."""
    (archive,), (inventory,), (tensors,) = (
        data.glob(pattern) for pattern in ("archives/*/*.zip", "inventories/*.csv", "tensors/*.npy")
    )
    out, threads = data / "out", ["--threads", str(CORES)]
    near_duplicates = [
        *MEDGRID,
        "near_duplicates",
        "{}",
        str(archive),
        str(inventory),
        f"{out}.csv",
        f"{out}.npz",
        *threads,
    ]
    features = [*MEDGRID, "features", json.dumps(FEATURES), str(tensors), f"{out}.npy", f"{out}.json", *threads]
    return {"near-duplicates": near_duplicates, "features of ResNet-50": [*features, "--device", "cpu"]}


def seconds_of(command: list[str], variables: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | variables)
    return time.perf_counter() - start


def waiting(data: Path) -> dict[tuple[str, str], float]:
    """Median wall time in seconds by job and by how its threads wait."""
    times = {(job, way): [] for job in jobs(data) for way in WAITING}
    for _ in range(REPEATS):
        for job, command in jobs(data).items():
            for way, variables in WAITING.items():
                times[job, way].append(seconds_of(command, variables))
    return {key: median(each) for key, each in times.items()}


def table(alone: dict, shared: dict, label) -> None:
    print("| job | alone, s | shared, s | ratio |\n|---|---:|---:|---:|")
    ratios = {job: shared[job] / max(alone[job], 0.01) for job in alone}
    for job in sorted(alone, key=lambda job: -ratios[job]):
        print(f"| {label(job)} | {alone[job]:.2f} | {shared[job]:.2f} | {ratios[job]:.1f} |")
    print(flush=True)


def main() -> None:
    print(f"{CORES} cores, {CORES} busy processes\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "alone")
        alone, waited = demo(folder), waiting(folder / "data")
        with busy_machine():
            shared, waited_shared = demo(Path(scratch, "shared")), waiting(folder / "data")
    alone["all"], shared["all"] = sum(alone.values()), sum(shared.values())
    table(alone, shared, str)
    table(waited, waited_shared, ", threads ".join)


if __name__ == "__main__":
    main()
