"""Time and memory of an audit of very many images: generated thumbnails, in one process.

    python benchmarks/audit.py [--images 220000]

Thumbnails are smooth random fields around a few hundred shared ones, because slices of many heads are similar; one
in a hundred has a copy that is cropped, brightened and noisy.
"""

import argparse
import hashlib
import resource
import sys
import time

import cv2
import numpy as np
import pandas as pd
import torch

from medgrid.audit.findings import audit
from medgrid.data.clusters import NEAR_DUPLICATES
from medgrid.data.near_duplicates import find_pairs
from medgrid.data.thumbnails import SIZE

SHARED = 300  # fields, each shared by many images
INDIVIDUAL = 0.75  # weight of the field of a single image; the shared one has weight 1


def fields(rng: np.random.Generator, count: int) -> np.ndarray:
    """Smooth random fields, float32 [N, SIZE, SIZE], with a standard deviation of about 1."""
    coarse = rng.standard_normal((count, 12, 12), dtype=np.float32)
    return np.stack([cv2.resize(each, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for each in coarse])


def generate(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails, uint8 [N, SIZE, SIZE], and the planted pairs, int [M, 2]."""
    rng = np.random.default_rng(seed)
    shared = fields(rng, SHARED)
    copies = count // 100
    images = np.empty((count, SIZE, SIZE), np.uint8)
    for start in range(0, count - copies, 10_000):
        block = slice(start, min(start + 10_000, count - copies))
        individual = fields(rng, block.stop - block.start)
        mixed = shared[rng.integers(0, SHARED, len(individual))] + INDIVIDUAL * individual
        images[block] = (mixed * 35 + 120).clip(0, 255)
    sources = rng.choice(count - copies, copies, replace=False)
    for i, source in enumerate(sources, count - copies):
        crop = rng.uniform(0, 0.03, 4) * SIZE
        scale = (SIZE - crop[0] - crop[1]) / SIZE, (SIZE - crop[2] - crop[3]) / SIZE
        move = np.array([[scale[0], 0, crop[0]], [0, scale[1], crop[2]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        changed = cv2.warpAffine(images[source].astype(np.float32), move, (SIZE, SIZE), flags=flags, borderMode=1)
        changed = changed * rng.uniform(0.85, 1.1) + rng.uniform(-10, 15) + rng.normal(0, 1.5, changed.shape)
        images[i] = changed.clip(0, 255)
    return images, np.stack([sources, np.arange(count - copies, count)], 1)


def inventory(thumbnails: np.ndarray) -> pd.DataFrame:
    """Rows as an inventory has them, with random labels and file sizes."""
    rng, count = np.random.default_rng(1), len(thumbnails)
    digests = [hashlib.sha256(thumbnail).hexdigest() for thumbnail in thumbnails]
    images = pd.DataFrame({"path": [f"{i}.png" for i in range(count)], "pixels_sha256": digests, "group": ""})
    images = images.assign(file_sha256=digests, label=rng.choice(["a", "b"], count), original_split="")
    images = images.assign(width=str(SIZE), height=str(SIZE), mode="L", format="PNG")
    return images.assign(bytes=rng.integers(3000, 4000, count).astype(str))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=220_000)
    count = parser.parse_args().images
    thumbnails, planted = generate(count)
    images = inventory(thumbnails)

    start, processor = time.perf_counter(), time.process_time()
    pairs, counts = find_pairs(images, thumbnails)
    compared = time.perf_counter()
    findings = audit(images, thumbnails, pairs)
    end, processor = time.perf_counter(), time.process_time() - processor
    near_duplicates = pairs.loc[pairs["kind"].isin(NEAR_DUPLICATES), ["first", "second"]]
    detected = set(map(tuple, near_duplicates.to_numpy().tolist()))
    expected = set(map(tuple, planted.tolist()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} images, {torch.get_num_threads()} threads: {end - start:.0f} s, peak {peak:.2f} GiB")
    print(f"  processor time {processor:.0f} s")
    print(f"  pairs {compared - start:.0f} s ({counts}), shortcuts {end - compared:.0f} s")
    print(
        f"  {len(detected & expected)} of {len(expected)} planted pairs detected; {len(detected - expected)} others"
    )
    print(f"  {findings['near_duplicate']}", file=sys.stderr)


if __name__ == "__main__":
    main()
