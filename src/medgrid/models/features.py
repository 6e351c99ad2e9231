"""Frozen means function: each image passes through a backbone once, whatever the grid."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from medgrid.config import Augmentation
from medgrid.models import device as devices
from medgrid.models.augment import augment
from medgrid.models.backbones import INITIAL_SEED, FrozenBackbone
from medgrid.models.networks import to_float
from medgrid.models.weights import sha256_of
from medgrid.utils.files import atomic_write

BATCH = {"cpu": 16, "cuda": 256}  # images; small on a CPU, so that activations stay in its cache
DRAWN = 256  # images that are augmented together: the same changes whatever device passes how many at once


def write_features(
    settings: dict,
    tensors: str,
    target: str,
    stamp: str,
    weights: str = "",
    device: str = "auto",
    threads: int = 0,
    slots: int = 1,
) -> None:
    """Write float32 features to `target` (.npy), rows as in `tensors`, and to `stamp` (JSON) how they came about.

    Shape [N, D], or [N, F, h, w] where `cut` is map; with augmented views one more axis in front: the plain images,
    then each view of all images.

    `settings`: model, normalisation, weights (name, `random` or `random_calibrated`), cut, augmentation, views.
    """
    chosen = devices.choose(device, threads, slots)
    source = Path(weights) if weights else settings["weights"]
    backbone = FrozenBackbone(settings["model"], settings["feature_level"], source, settings["normalisation"])
    images = np.load(tensors, mmap_mode="r")
    backbone.backbone.shape(images.shape[1])  # says so, should they be too small
    backbone.to(chosen)
    views = settings["views"]
    changes = Augmentation.model_validate(settings["augmentation"]) if views else None
    generator = torch.Generator().manual_seed(INITIAL_SEED)
    size = BATCH[chosen.type]
    began = time.perf_counter()
    features = None
    with atomic_write(target) as temporary, torch.inference_mode():
        with tqdm(total=len(images) * (1 + views), desc=settings["model"], unit="image", mininterval=1) as bar:
            for view, start in itertools.product(range(1 + views), range(0, len(images), DRAWN)):
                block = torch.from_numpy(np.array(images[start : start + DRAWN])).to(chosen)
                pixels = augment(block, changes, generator) if view else to_float(block)
                made = torch.cat([backbone(part).cpu() for part in pixels.split(size)]).numpy()
                if features is None:
                    shape = ((1 + views,) if views else ()) + (len(images), *made.shape[1:])
                    features = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
                (features[view] if views else features)[start : start + DRAWN] = made
                bar.update(len(block))
        features.flush()
        seconds = time.perf_counter() - began
        description = {
            **settings,
            "sha256": sha256_of(Path(weights)) if weights else None,
            "dropout": backbone.dropout,
            "images_per_second": round(len(images) * (1 + views) / seconds, 1),
            **devices.stamp(chosen),
        }
        with atomic_write(stamp) as description_file:
            description_file.write_text(json.dumps(description, indent=2) + "\n")
