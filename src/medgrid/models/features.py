"""Frozen means function: each image passes through a backbone once, whatever the grid."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from medgrid.files import replacing
from medgrid.models import device as devices
from medgrid.models.backbones import Backbone
from medgrid.models.weights import sha256_of

BATCH = {"cpu": 16, "cuda": 256}  # images; small on a CPU, so that activations stay in its cache


def write_features(
    settings: dict,
    tensors: str,
    target: str,
    stamp: str,
    weights: str = "",
    device: str = "auto",
    threads: int = 0,
) -> None:
    """Write float32 [N, D] to `target` (.npy), rows as in `tensors`, and to `stamp` (JSON) how they came about.

    `settings`: model, normalisation, weights (name). Without a `weights` file the backbone is random.
    """
    chosen = devices.choose(device, threads)
    backbone = Backbone(settings["model"], Path(weights) if weights else None, settings["normalisation"]).to(chosen)
    images = np.load(tensors, mmap_mode="r")
    size = BATCH[chosen.type]
    began = time.perf_counter()
    with replacing(target) as temporary, torch.inference_mode():
        features = np.lib.format.open_memmap(temporary, "w+", np.float32, (len(images), backbone.features))
        with tqdm(total=len(images), desc=settings["model"], unit="image", mininterval=1) as bar:
            for start in range(0, len(images), size):
                batch = torch.from_numpy(np.array(images[start : start + size])).to(chosen)
                features[start : start + size] = backbone(batch).cpu().numpy()
                bar.update(len(batch))
        features.flush()
        seconds = time.perf_counter() - began
        description = {
            **settings,
            "sha256": sha256_of(Path(weights)) if weights else None,
            "dropout": backbone.dropout,
            "images_per_second": round(len(images) / seconds, 1),
            **devices.stamp(chosen),
        }
        with replacing(stamp) as description_file:
            description_file.write_text(json.dumps(description, indent=2) + "\n")
