"""Every image as a small grey square, which is all that an audit has to look at."""

import hashlib
import io
import warnings

import cv2
import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.data.archive import read_in_worker, workers
from medgrid.data.tensors import to_8_bit

SIZE = 64  # px: what alignment and correlation still gain from, in a matter of minutes for 220,000 images
CHUNK = 64  # images per task of a worker


def thumbnail(image: PIL.Image.Image) -> np.ndarray:
    """uint8 [SIZE, SIZE], grey, whatever the aspect ratio was."""
    grey = np.asarray(to_8_bit(image, "grey"))
    # area averages only shrink well; a smaller image is interpolated
    how = cv2.INTER_AREA if min(grey.shape) >= SIZE else cv2.INTER_LINEAR
    return cv2.resize(grey, (SIZE, SIZE), interpolation=how)


def _make(paths: list[str]) -> tuple[np.ndarray, list[str]]:
    cv2.setNumThreads(0)  # a process for each core is enough
    made, digests = np.empty((len(paths), SIZE, SIZE), np.uint8), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place, path in enumerate(paths):
            content = read_in_worker(path)
            digests.append(hashlib.sha256(content).hexdigest())
            with PIL.Image.open(io.BytesIO(content)) as image:
                made[place] = thumbnail(image)
    return made, digests


def make_thumbnails(archive: str, paths: list[str], threads: int = 0) -> tuple[np.ndarray, list[str]]:
    """Thumbnails, uint8 [N, SIZE, SIZE], of images that decode, and the sha256 of each one's file."""
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    thumbnails, digests = np.empty((len(paths), SIZE, SIZE), np.uint8), []
    with (
        workers(archive, threads) as pool,
        tqdm(total=len(paths), desc="thumbnails", unit="image", mininterval=1) as bar,
    ):
        for made, found in pool.map(_make, chunks):
            thumbnails[len(digests) : len(digests) + len(found)] = made
            digests += found
            bar.update(len(found))
    return thumbnails, digests
