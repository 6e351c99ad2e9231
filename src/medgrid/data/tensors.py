"""All images of a data set at one size, in one file that all jobs on a machine map into memory."""

import csv
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.data.archive import read_in_worker, workers
from medgrid.utils.files import atomic_write

CHUNK = 32  # images per task of a worker
MODES = {"rgb": "RGB", "grey": "L"}  # of PIL, by setting


def to_8_bit(image: PIL.Image.Image, colour: str = "rgb") -> PIL.Image.Image:
    """Convert an image of any mode to 8-bit RGB or grey; 16-bit grey is scaled, which PIL would clip.

    Raises ValueError for floating-point images, which have no standard range.
    """
    if image.mode == "LAB":  # PIL does not convert it to grey
        image = image.convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point images have no standard range; convert them to 8 or 16 bits first")
    if image.mode.startswith("I"):
        image = PIL.Image.fromarray((np.asarray(image).astype(np.float32) / 257).clip(0, 255).astype(np.uint8))
    return image.convert(MODES[colour])


def _resizer(size: int, interpolation: str) -> Callable[[PIL.Image.Image], np.ndarray]:
    if interpolation == "area":
        import cv2

        # there is one process per core
        cv2.setNumThreads(0)
        return lambda image: cv2.resize(np.asarray(image), (size, size), interpolation=cv2.INTER_AREA)
    resampling = PIL.Image.Resampling[interpolation.upper()]
    return lambda image: np.asarray(image.resize((size, size), resampling))


def _fill(target: str, start: int, paths: list[str], settings: dict[str, Any]) -> int:
    """Write the images `paths` into rows from `start` of the .npy `target`; returns how many."""
    tensors = np.load(target, mmap_mode="r+")
    resize = _resizer(settings["size"], settings["interpolation"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, path in enumerate(paths, start):
            with PIL.Image.open(io.BytesIO(read_in_worker(path))) as image:
                # a grey image has no channel axis yet
                tensors[row] = resize(to_8_bit(image, settings["colour"])).reshape(tensors.shape[1:])
    return len(paths)


def write_tensors(settings: dict[str, Any], archive: str, inventory: str, target: str, threads: int = 0) -> None:
    """Write uint8 [N, size, size, C] (C: 3 for rgb, 1 for grey; 0..255) as a memory-mappable .npy.

    Rows are the images of the inventory that decode, in its order, unlabelled ones included: `row` of the split.
    Channels are last, as decoders deliver them: a permuted view is a batch in PyTorch's channels_last format, without
    a copy.
    """
    with open(inventory, newline="", encoding="utf-8") as handle:  # noqa: PTH123
        paths = [row["path"] for row in csv.DictReader(handle) if not row["error"]]
    size, channels = settings["size"], len(MODES[settings["colour"]])
    with atomic_write(target) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(paths), size, size, channels)).flush()
        starts = range(0, len(paths), CHUNK)
        with (
            workers(archive, threads) as pool,
            tqdm(total=len(paths), desc="tensors", unit="image", mininterval=1) as bar,
        ):
            tasks = [pool.submit(_fill, str(temporary), i, paths[i : i + CHUNK], settings) for i in starts]
            for task in tasks:
                bar.update(task.result())
