"""Accuracy of cached features: the same cells, split and epochs with `plain.py` and with medgrid.

    python benchmarks/parity.py --mirror DIR [--epochs 4]

Both select the best epoch by validation loss and are tested once; medgrid with five seeds, plain PyTorch with one.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import plain
import torch
import yaml

from medgrid.config import load, read_yaml
from medgrid.grid.layout import lay_out
from medgrid.models.device import keep_memory

ROOT = Path(__file__).parent.parent
STUDY = "brain_tumor_lr_batch_mobilenet"
POINTS = 2.0  # largest accepted difference of test accuracy, in percentage points
CELLS = [  # model, batch size, learning rate
    ("mobilenet_v2", 32, 0.001),
    ("efficientnet_b0", 64, 0.01),
    ("resnet50", 32, 0.001),
]


def medgrid_accuracies(mirror: Path, epochs: int) -> dict[tuple[str, int, float], list[float]]:
    """Run the study; returns the test accuracy of each seed, in percent, by model, batch size and learning rate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = {"results": str(folder), "studies": {STUDY: {"fixed": {"epochs": epochs}}}}
        (folder / "overrides.yaml").write_text(yaml.safe_dump(overrides))
        command = [sys.executable, "-m", "medgrid", "run", "--configfile", str(folder / "overrides.yaml")]
        command += ["--config", f"mirror={mirror}", "--", STUDY]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with (folder / STUDY / "tables/replicates.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["checkpoint"] == "best"]
    accuracies: dict[tuple[str, int, float], list[float]] = {}
    for row in rows:
        cell = row["model"], int(row["batch_size"]), float(row["lr"])
        accuracies.setdefault(cell, []).append(100 * float(row["test_accuracy"]))
    return accuracies


def plain_accuracies(mirror: Path, epochs: int) -> dict[tuple[str, int, float], float]:
    """Test accuracies of CELLS with plain PyTorch, in percent; the split is the one that medgrid has made."""
    config = read_yaml(ROOT / "params.yaml")
    params = load(config)
    study = params.studies[STUDY]
    dataset = params.datasets[study.dataset]
    split = ROOT / f"data/splits/{lay_out(params).inputs_of[STUDY]['split']}.csv"
    accuracies = {}
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(mirror / f"{dataset.kaggle.slug}.zip").extractall(folder)
        parts = plain.Images(Path(folder), study.image.size).parts(split)
        for model, batch, lr in CELLS:
            torch.manual_seed(0)
            weights = mirror / params.weights_of(STUDY, model).file
            network, head = plain.network(model, weights, len(dataset.classes))
            result = plain.train(network, head, parts, lr, batch, epochs, workers=2)
            accuracies[model, batch, lr] = 100 * result["best"]
    return accuracies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    mirror = arguments.mirror.resolve()
    keep_memory()  # accuracy is compared here, not time, so the plain script may be fast too
    ours = medgrid_accuracies(mirror, arguments.epochs)
    theirs = plain_accuracies(mirror, arguments.epochs)
    differences = []
    for (model, batch, lr), accuracy in theirs.items():
        seeds = ours[model, batch, lr]
        differences.append(sum(seeds) / len(seeds) - accuracy)
        print(
            f"{model}, batch size {batch}, learning rate {lr:g}, {arguments.epochs} epochs: plain {accuracy:.2f} %, "
            f"medgrid {sum(seeds) / len(seeds):.2f} % (seeds {min(seeds):.2f} to {max(seeds):.2f}), "
            f"difference {differences[-1]:+.2f} points"
        )
    if max(map(abs, differences)) > POINTS:
        sys.exit(f"a difference is larger than {POINTS} points")


if __name__ == "__main__":
    main()
