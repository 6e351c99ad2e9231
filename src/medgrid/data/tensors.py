"""All images of a data set at one size, in one file that every job on the machine maps into memory."""

import csv
import io
import os
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.data.archive import open_in_worker, read_in_worker
from medgrid.errors import MedgridError
from medgrid.files import replacing

CHUNK = 32  # images per task of a worker


def to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Any mode to 8-bit RGB. Deep grey images are scaled from their 16-bit range, which PIL would clip."""
    if image.mode.startswith("I"):
        image = PIL.Image.fromarray((np.asarray(image).astype(np.float32) / 257).clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise MedgridError("floating-point images have no agreed range; convert them first")
    return image.convert("RGB")


def _fill(target: str, start: int, paths: list[str], size: int, interpolation: str) -> int:
    tensors = np.load(target, mmap_mode="r+")
    resampling = PIL.Image.Resampling[interpolation.upper()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, path in enumerate(paths, start):
            with PIL.Image.open(io.BytesIO(read_in_worker(path))) as image:
                tensors[row] = np.asarray(to_rgb(image).resize((size, size), resampling))
    return len(paths)


def write_tensors(settings: dict, archive: str, inventory: str, target: str, threads: int = 0) -> None:
    """Write uint8 [N, size, size, 3] (rows as in the split's `row`, RGB, 0..255) as a memory-mappable .npy.

    Channels last, because that is how decoders deliver pixels and how convolutions want them: a view with
    the axes permuted is a channels_last batch without a copy.
    """
    with open(inventory, newline="", encoding="utf-8") as handle:  # noqa: PTH123
        paths = [row["path"] for row in csv.DictReader(handle) if not row["error"]]
    size = settings["size"]
    with replacing(target) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(paths), size, size, 3)).flush()
        starts = range(0, len(paths), CHUNK)
        workers = threads or len(os.sched_getaffinity(0))
        with (
            ProcessPoolExecutor(workers, initializer=open_in_worker, initargs=(archive,)) as pool,
            tqdm(total=len(paths), desc="tensors", unit="image", mininterval=1) as bar,
        ):
            tasks = [
                pool.submit(_fill, str(temporary), i, paths[i : i + CHUNK], size, settings["interpolation"])
                for i in starts
            ]
            for task in tasks:
                bar.update(task.result())
