"""Does the short cut give the usual accuracy? The same cells, split and epochs by `plain.py` and by medgrid.

    python benchmarks/parity.py --mirror DIR [--epochs 4]

Both select the best epoch by validation loss and are tested once; medgrid with five seeds, the plain way with one.
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
from medgrid.grid.layout import plan
from medgrid.models.device import keep_memory

ROOT = Path(__file__).parent.parent
STUDY = "brain_tumor_lr_batch_mobilenet"
POINTS = 2.0  # of test accuracy, the largest difference that is no fault
CELLS = [("mobilenet_v2", 32, 0.001), ("efficientnet_b0", 64, 0.01), ("resnet50", 32, 0.001)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    mirror = arguments.mirror.resolve()
    keep_memory()  # accuracy is compared here, not time: the plain script may be quick too
    config = read_yaml(ROOT / "params.yaml")
    config["studies"][STUDY]["fixed"] |= {"epochs": arguments.epochs}

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = {"results": str(folder), "studies": {STUDY: {"fixed": {"epochs": arguments.epochs}}}}
        (folder / "overrides.yaml").write_text(yaml.safe_dump(overrides))
        command = [sys.executable, "-m", "medgrid", "run", "--configfile", str(folder / "overrides.yaml")]
        command += ["--config", f"mirror={mirror}", "--", STUDY]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with (folder / STUDY / "replicates.csv").open() as handle:
            replicates = list(csv.DictReader(handle))

        params = load(config)
        dataset = params.datasets[params.studies[STUDY].dataset]
        zipfile.ZipFile(mirror / f"{dataset.kaggle.slug}.zip").extractall(folder / "images")
        folders = plain.Images(folder / "images", params.studies[STUDY].image.size)
        parts = folders.parts(ROOT / f"data/splits/{plan(params).studies[STUDY].inputs['split']}.csv")
        differences = []
        for model, batch, lr in CELLS:
            torch.manual_seed(0)
            net, head = plain.network(model, mirror / params.weights_of(STUDY, model).file, len(dataset.classes))
            usual = plain.train(net, head, parts, lr, batch, arguments.epochs, workers=2)
            ours = [
                100 * float(row["test_accuracy"])
                for row in replicates
                if (row["model"], int(row["batch_size"]), float(row["lr"])) == (model, batch, lr)
                and row["checkpoint"] == "best"
            ]
            mean = sum(ours) / len(ours)
            differences.append(mean - 100 * usual["best"])
            print(
                f"{model}, batch size {batch}, rate {lr:g}, {arguments.epochs} epochs: "
                f"plain {100 * usual['best']:.2f} %, "
                f"medgrid {mean:.2f} % (seeds {min(ours):.2f} to {max(ours):.2f}), "
                f"difference {differences[-1]:+.2f} points",
                flush=True,
            )
    if max(map(abs, differences)) > POINTS:
        sys.exit(f"a difference is larger than {POINTS} points")


if __name__ == "__main__":
    main()
