"""Features of a frozen backbone, computed once per image for all trainings of a grid."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from medgrid.config import Augmentation
from medgrid.models import device as devices
from medgrid.models.augment import augment, augmentation_generators
from medgrid.models.backbones import INITIAL_SEED, FrozenBackbone
from medgrid.models.networks import to_float
from medgrid.models.weights import sha256_of
from medgrid.utils.files import atomic_write

BATCH = {"cpu": 16, "cuda": 256}  # images; few on a CPU, so that activations stay in its cache
DRAWN = 256  # images that are augmented together: random numbers do not depend on the device's batch size


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
    """Write float32 features to `target` (.npy), rows as in `tensors`, and how they were computed to `stamp` (JSON).

    Their shape is [N, D], or [N, F, h, w] with `feature_level` map. With augmented views it is [1 + views, N, ...]:
    the features of the original images, then those of each view.

    `settings`: model, normalisation, weights (name, `random` or `random_calibrated`), feature_level, augmentation,
    views. Raises MedgridError when the images are too small for the backbone or `weights` does not fit it.
    """
    chosen = devices.choose(device, threads, slots)
    source = Path(weights) if weights else settings["weights"]
    backbone = FrozenBackbone(settings["model"], settings["feature_level"], source, settings["normalisation"])
    images = np.load(tensors, mmap_mode="r")
    backbone.backbone.shape(images.shape[1])  # raises when they are too small
    backbone.to(chosen)
    start = time.perf_counter()
    with atomic_write(target) as temporary:
        _compute(backbone, images, settings, temporary, chosen)
        seconds = time.perf_counter() - start
        description = {
            **settings,
            "sha256": sha256_of(Path(weights)) if weights else None,
            "dropout": backbone.dropout,
            "images_per_second": round(len(images) * (1 + settings["views"]) / seconds, 1),
            **devices.stamp(chosen),
        }
        with atomic_write(stamp) as description_file:
            description_file.write_text(json.dumps(description, indent=2) + "\n")


@torch.inference_mode()
def _compute(
    backbone: FrozenBackbone, images: np.ndarray, settings: dict, target: Path, device: torch.device
) -> None:
    """Features of uint8 images [N, H, W, 3], written block by block into the .npy file `target`."""
    views = settings["views"]
    augmentation = Augmentation.model_validate(settings["augmentation"]) if views else None
    generators = augmentation_generators(INITIAL_SEED)
    features = None
    with tqdm(total=len(images) * (1 + views), desc=settings["model"], unit="image", mininterval=1) as bar:
        for view, first in itertools.product(range(1 + views), range(0, len(images), DRAWN)):
            block = torch.from_numpy(np.array(images[first : first + DRAWN])).to(device)
            pixels = augment(block, augmentation, generators) if view and augmentation else to_float(block)
            batches = [backbone(batch).cpu() for batch in pixels.split(BATCH[device.type])]
            computed = torch.cat(batches).numpy()
            if features is None:
                shape = ((1 + views,) if views else ()) + (len(images), *computed.shape[1:])
                features = np.lib.format.open_memmap(target, "w+", np.float32, shape)
            (features[view] if views else features)[first : first + DRAWN] = computed
            bar.update(len(block))
    if features is not None:
        features.flush()
