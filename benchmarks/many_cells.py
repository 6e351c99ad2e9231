"""What a grid of many cells costs before anything runs: seconds and memory of a dry run and of a plan.

    python benchmarks/many_cells.py [100 1000 10000]

A synthetic study of rates and seeds; once as whole networks, of which each cell is a job, and once as heads on the
features of a frozen backbone, which share one.
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
    """Seconds, and MiB at most, of `medgrid ARGUMENTS`; raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "medgrid", *arguments]
    began = time.perf_counter()
    run = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(run.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return time.perf_counter() - began, used.ru_maxrss / 1024


def main() -> None:
    print("| cells | as | dry run, s | ms per cell | MiB | plan, s | MiB |\n|---:|---|---:|---:|---:|---:|---:|")
    for kind in ("networks", "heads"):
        for cells in [int(each) for each in sys.argv[1:]] or [100, 1000, 10000]:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                shutil.copy(ROOT / "Snakefile", folder)
                shutil.copytree(ROOT / "workflow", folder / "workflow")
                (folder / "profiles").symlink_to("workflow/profiles")
                (folder / "params.yaml").write_text(yaml.safe_dump(settings(cells, kind), sort_keys=False))
                seconds, memory = cost(folder, "run", "-n", "--quiet", "all")
                planning, most = cost(folder, "plan")
            dry = f"{seconds:.1f} | {seconds / cells * 1000:.1f} | {memory:.0f}"
            print(f"| {cells:,} | {kind} | {dry} | {planning:.1f} | {most:.0f} |", flush=True)


if __name__ == "__main__":
    main()
