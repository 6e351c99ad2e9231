"""How long a whole study takes the usual way, and how long here: both timed in one run, on one machine.

    python benchmarks/whole_study.py --mirror DIR [--study brain_tumor_lr_batch_standin]

1. medgrid: from the archive to the page, everything, in an empty folder.
2. The bare forward passes that no method can avoid: each image once through each backbone, in plain torchvision,
   with medgrid's batch size, precision, memory layout and threads; with and without medgrid's allocator setting.
3. The plain way (`plain.py`): one epoch of one cell per model, times epochs, cells and replicates.
"""

import argparse
import csv
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import plain
import torch

from medgrid.config import load, read_yaml
from medgrid.grid.cells import cells
from medgrid.grid.layout import plan
from medgrid.models.device import keep_memory
from medgrid.models.features import BATCH

ROOT = Path(__file__).parent.parent


def ours(folder: Path, mirror: Path, study: str) -> float:
    """Seconds of a whole run in an empty folder."""
    for name in ("Snakefile", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    (folder / "profiles").symlink_to("workflow/profiles")
    command = [sys.executable, "-m", "medgrid", "run", "--config", f"mirror={mirror}", "--", study]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def stages(folder: Path) -> dict[str, float]:
    """Seconds of each stage's jobs, added up, from Snakemake's benchmark files."""
    seconds: dict[str, float] = {}
    for file in sorted((folder / "data/benchmarks").rglob("*.tsv")):
        stage = file.relative_to(folder / "data/benchmarks").parts[0]
        with file.open() as handle:
            seconds[stage] = seconds.get(stage, 0) + float(next(csv.DictReader(handle, delimiter="\t"))["s"])
    return seconds


def bare_forward(model: str, weights: Path, tensors_file: Path) -> float:
    """Seconds to pass as many images as there are once through the backbone; all is in memory before."""
    tensors = np.load(tensors_file, mmap_mode="r")
    net, _ = plain.network(model, weights, 4)
    net = net.eval().to(memory_format=torch.channels_last)
    batch = BATCH["cpu"]
    images = torch.from_numpy(np.array(tensors[:batch])).permute(0, 3, 1, 2).float()  # channels_last already
    with torch.inference_mode():
        net(images)
        began = time.perf_counter()
        for start in range(0, len(tensors), batch):
            net(images[: min(batch, len(tensors) - start)])
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--study", default="brain_tumor_lr_batch_standin")
    arguments = parser.parse_args()
    mirror = arguments.mirror.resolve()
    params = load(read_yaml(ROOT / "params.yaml"))
    study = params.studies[arguments.study]
    grid = cells(study)
    threads = torch.get_num_threads()
    print(f"{platform.processor() or platform.machine()}, {threads} threads, torch {torch.__version__}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = ours(folder, mirror, arguments.study)
        print(f"medgrid: {len(grid)} cells x {study.replicates} replicates: {whole:.0f} s, of which", flush=True)
        for stage, seconds in stages(folder).items():
            print(f"  {stage:10} {seconds:7.1f} s")

        laid = plan(params)
        inputs = laid.studies[arguments.study].inputs
        tensors_file = folder / f"data/tensors/{inputs['tensors']}.npy"
        zipfile.ZipFile(mirror / f"{params.datasets[study.dataset].kaggle.slug}.zip").extractall(folder / "images")
        dataset = plain.Images(folder / "images", study.image.size)
        parts = dataset.parts(folder / f"data/splits/{inputs['split']}.csv")
        parts["test"] = torch.utils.data.Subset(parts["test"], range(64))  # an epoch does not test

        paths = {model: mirror / params.weights_of(arguments.study, model).file for model in study.model_names}
        bare = {}
        for setting, prepare in (("as it is", None), ("keeping memory", keep_memory)):
            # a process of its own, because the allocator's setting cannot be taken back
            with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=prepare) as fresh:
                timed = {
                    model: fresh.submit(bare_forward, model, path, tensors_file) for model, path in paths.items()
                }
                bare[setting] = {model: seconds.result() for model, seconds in timed.items()}
            shares = ", ".join(f"{model} {seconds:.1f} s" for model, seconds in bare[setting].items())
            print(f"bare forward passes, allocator {setting}: {shares}", flush=True)

        usual = 0.0
        for model, path in paths.items():
            torch.manual_seed(0)
            net, head = plain.network(model, path, len(dataset.classes))
            (seconds,) = plain.train(net, head, parts, 1e-3, 32, 1, workers=2)["seconds"]
            count = sum(cell.training.model == model for cell in grid)
            whole_model = seconds * study.fixed.epochs * count * study.replicates
            usual += whole_model
            print(
                f"plain {model}: {seconds:.1f} s per epoch x {study.fixed.epochs} epochs x {count} cells x "
                f"{study.replicates} replicates = {whole_model / 3600:.0f} h",
                flush=True,
            )

    print(f"plain / medgrid: {usual:.0f} s / {whole:.0f} s = {usual / whole:.0f} x")
    for setting, seconds in bare.items():
        total = sum(seconds.values())
        print(f"medgrid / bare forward, allocator {setting}: {whole:.0f} s / {total:.0f} s = {whole / total:.2f} x")


if __name__ == "__main__":
    main()
