"""Nearest neighbours of thumbnails: a baseline that any network should exceed."""

import numpy as np

SIDE = 16  # px of the thumbnails that are compared
BLOCK = 1024  # images compared at a time
MAX_QUERIES = 10_000  # images whose nearest neighbour is computed, drawn at random where there are more


def shrink(thumbnails: np.ndarray) -> np.ndarray:
    """Area averages, float32 [N, SIDE * SIDE], of thumbnails, uint8 [N, H, H]; H: a multiple of SIDE."""
    count, side = len(thumbnails), thumbnails.shape[1]
    small = np.empty((count, SIDE, SIDE), np.float32)
    for start in range(0, count, BLOCK):
        block = thumbnails[start : start + BLOCK]
        cells = block.reshape(len(block), SIDE, side // SIDE, SIDE, side // SIDE)
        small[start : start + BLOCK] = cells.mean((2, 4), dtype=np.float32)
    return small.reshape(count, -1)


def nearest(small: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """For each row number in `test` the one in `train` at the least Euclidean distance; `small`: see `shrink`."""
    references = small[train]
    half_norm = np.square(references).sum(1) / 2
    blocks = [test[start : start + BLOCK] for start in range(0, len(test), BLOCK)]
    return train[np.concatenate([(small[block] @ references.T - half_norm).argmax(1) for block in blocks])]


def sample(rows: np.ndarray, size: int) -> np.ndarray:
    """At most `size` of the rows, drawn at random with a fixed seed, in ascending order."""
    return rows if len(rows) <= size else np.sort(np.random.default_rng(0).choice(rows, size, replace=False))
