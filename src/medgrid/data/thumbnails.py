"""Every image as a small grey square: the input of near-duplicate search, leakage and shortcuts."""

import hashlib
import io
import warnings

import cv2
import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.data.archive import read_in_worker, workers
from medgrid.data.tensors import to_8_bit

SIZE = 64  # px: a larger size does not improve alignment; 220,000 images take a few minutes
CHUNK = 64  # images per task of a worker


def thumbnail(image: PIL.Image.Image) -> np.ndarray:
    """Grey thumbnail, uint8 [SIZE, SIZE], whatever the aspect ratio of the image."""
    grey = np.asarray(to_8_bit(image, "grey"))
    # area averages suit shrinking; smaller images are interpolated
    interpolation = cv2.INTER_AREA if min(grey.shape) >= SIZE else cv2.INTER_LINEAR
    return cv2.resize(grey, (SIZE, SIZE), interpolation=interpolation)


def make_thumbnails(archive: str, paths: list[str], threads: int = 0) -> tuple[np.ndarray, list[str]]:
    """Thumbnails, uint8 [N, SIZE, SIZE], of images that decode, and the sha256 of each file."""
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    thumbnails, digests = np.empty((len(paths), SIZE, SIZE), np.uint8), []
    with (
        workers(archive, threads) as pool,
        tqdm(total=len(paths), desc="thumbnails", unit="image", mininterval=1) as bar,
    ):
        for chunk_thumbnails, chunk_digests in pool.map(_chunk_in_worker, chunks):
            thumbnails[len(digests) : len(digests) + len(chunk_digests)] = chunk_thumbnails
            digests += chunk_digests
            bar.update(len(chunk_digests))
    return thumbnails, digests


def _chunk_in_worker(paths: list[str]) -> tuple[np.ndarray, list[str]]:
    cv2.setNumThreads(0)  # there is one process per core
    thumbnails, digests = np.empty((len(paths), SIZE, SIZE), np.uint8), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, path in enumerate(paths):
            content = read_in_worker(path)
            digests.append(hashlib.sha256(content).hexdigest())
            with PIL.Image.open(io.BytesIO(content)) as image:
                thumbnails[i] = thumbnail(image)
    return thumbnails, digests
