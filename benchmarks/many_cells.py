"""Costs of a grid of many cells before anything runs: seconds and memory of a dry run and of a plan.

    python benchmarks/many_cells.py [100 1000 10000]

A synthetic study of rates and seeds: as whole networks, of which each cell is a job, and as heads on the features of
a frozen backbone, which share one job. For comparison, in the same run: the dry run of a workflow that has only as
many jobs of one empty rule, with the outputs, log, benchmark, params and resources of medgrid's rule `train`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
NETWORK = {"plain": {"layers": [{"conv": 8}, {"pool": "global_average"}]}}
EMPTY = """
rule all:
    input: [f"results/many/jobs/lr={{i}}_batch_size=8-0123456789ab/seeds-0-4" for i in range({cells})]

rule train:
    output: directory("results/{{study}}/jobs/{{job}}/{{seeds}}")
    log: "data/logs/train/{{study}}/{{job}}/{{seeds}}.log"
    benchmark: "data/benchmarks/train/{{study}}/{{job}}/{{seeds}}.tsv"
    threads: lambda w: 1
    resources:
        gpu=lambda w: 0, gres=lambda w: "", device=lambda w: "auto",
        runtime=lambda w, attempt: 240 * attempt, mem_mb=lambda w, attempt: 8000 * attempt,
    params:
        settings="data/steps/train/{{study}}/{{job}}/{{seeds}}.json",
        inputs=lambda w, input: [],
        checkpoints="data/checkpoints/{{study}}/{{job}}",
    shell: "true {{params.settings:q}} {{output:q}} {{params.checkpoints:q}} > {{log:q}} 2>&1"
"""


def settings(cells: int, kind: str) -> dict:
    rates = [round(1e-6 * (1 + rate), 9) for rate in range(cells // 10)]
    sizes = [8 * (1 + size) for size in range(10)]
    network = (
        {"model": "plain", "mode": "scratch"} if kind == "networks" else {"model": "resnet18", "mode": "head_only"}
    )
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    study = {
        "title": "Many", "dataset": "brain_tumor_mri", "split": {"test": 0.2, "validation": 0.2},
        "image": {"size": 32},
        "models": NETWORK, "fixed": network | {"optimizer": "sgd", "epochs": 1}, "replicates": 5,
        "axes": {"lr": rates, "batch_size": sizes},
    }  # fmt: skip
    weights = params["weights"] | {"resnet18": "random"}
    return params | {"source": "synthetic", "run": ["many"], "studies": {"many": study}, "weights": weights}


def cost(folder: Path, *arguments: str) -> tuple[float, float]:
    """Seconds, and MiB at most, of `python -m ARGUMENTS`; raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def measure(cells: int, kind: str) -> None:
    """Print a row of the table for a grid of `cells` cells."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "empty rule":
            (folder / "Snakefile").write_text(EMPTY.format(cells=cells))
            run = ["snakemake", "-n", "--cores", "2", "--rerun-triggers", "mtime", "--quiet", "all"]
        else:
            shutil.copy(ROOT / "Snakefile", folder)
            shutil.copytree(ROOT / "workflow", folder / "workflow")
            (folder / "profiles").symlink_to("workflow/profiles")
            (folder / "params.yaml").write_text(yaml.safe_dump(settings(cells, kind), sort_keys=False))
            run = ["medgrid", "run", "-n", "--quiet", "all"]
        seconds, memory = cost(folder, *run)
        plan = (
            "" if kind == "empty rule" else " | ".join(f"{value:,.1f}" for value in cost(folder, "medgrid", "plan"))
        )
    per_cell = f"{seconds / cells * 1000:.1f}"
    print(f"| {cells:,} | {kind} | {seconds:.1f} | {per_cell} | {memory:.0f} | {plan or ' | '} |", flush=True)


def main() -> None:
    print("| cells | as | dry run, s | ms per cell | MiB | plan, s | MiB |\n|---:|---|---:|---:|---:|---:|---:|")
    for cells in [int(each) for each in sys.argv[1:]] or [100, 1000, 10000]:
        for kind in ("empty rule", "networks", "heads"):
            measure(cells, kind)


if __name__ == "__main__":
    main()
