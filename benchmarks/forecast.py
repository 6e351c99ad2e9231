"""Accuracy of `medgrid plan`: planned and real seconds of each job, in one run on one machine.

    python benchmarks/forecast.py

A synthetic study with every kind of job: heads on features, heads on feature maps, a stack on pixels, whole networks
from scratch and from pretrained weights. Jobs run one after another, as a plan assumes.
"""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
STUDY = "kinds"
KINDS = {
    "title": "Kinds of jobs", "dataset": "brain_tumor_mri", "split": {"test": 0.2, "validation": 0.1},
    "image": {"size": 96}, "replicates": 2,
    "models": {
        "perceptron": {"layers": [{"pool": "flatten"}, {"dense": 64, "activation": "relu"}]},
        "plain": {"layers": [{"conv": 32, "activation": "relu"}, {"pool": "max"}, {"conv": 64, "activation": "relu"},
                             {"pool": "global_average"}, {"dense": 64, "activation": "relu"}]},
        "maps": {"backbone": "resnet18", "layers": [{"conv": 64, "activation": "relu"}, {"pool": "global_average"}]},
    },
    "fixed": {"optimizer": "adam", "batch_size": 32},
    "axes": {"model": ["resnet18"], "mode": ["head_only"], "lr": [0.01, 0.001, 0.0001], "epochs": [100]},
    "extra": [
        {"model": "maps", "mode": "head_only", "lr": 0.001, "epochs": 20},
        {"model": "perceptron", "mode": "scratch", "lr": [0.001, 0.0001], "epochs": 20},
        {"model": "plain", "mode": "scratch", "lr": 0.001, "epochs": 10},
        {"model": "mobilenet_v2", "mode": "scratch", "lr": 0.001, "epochs": 3},
        {"model": "resnet18", "mode": "full", "lr": 0.001, "epochs": 3},
    ],
}  # fmt: skip


def medgrid(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "medgrid", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def real_seconds(folder: Path, rule: str, name: str) -> float:
    with (folder / "data/benchmarks" / rule / f"{name}.tsv").open(newline="") as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


def main() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"]["brain_tumor_mri"]["synthetic"] |= {"images": 1000, "size": 96}
    params |= {"source": "synthetic", "run": [STUDY], "studies": {STUDY: KINDS}}
    params["weights"] |= {"resnet18": "random", "mobilenet_v2": "random"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "Snakefile", folder)
        shutil.copytree(ROOT / "workflow", folder / "workflow")
        (folder / "profiles").symlink_to("workflow/profiles")
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        medgrid(folder, "plan")
        medgrid(folder, "run", "--jobs", "1", "--until", "train")
        costs = json.loads(next((folder / "data/plans").glob("*.json")).read_text())
        seeds = f"seeds-0-{KINDS['replicates'] - 1}"
        rows = [
            (job, cost["seconds"], real_seconds(folder, f"train/{STUDY}/{job}", seeds))
            for job, cost in costs["jobs"].items()
        ]
        rows += [
            (name, cost["seconds"], real_seconds(folder, "features", name))
            for name, cost in costs["features"].items()
        ]
    print("| job | planned, s | real, s | planned / real |\n|---|---:|---:|---:|")
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    for job, planned, real in rows:
        print(f"| {job} | {planned:.1f} | {real:.1f} | {planned / real:.2f} |")


if __name__ == "__main__":
    main()
