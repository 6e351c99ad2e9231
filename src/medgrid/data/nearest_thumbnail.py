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
    """For each row number in `test` another one in `train` at the least Euclidean distance; `small`: see `shrink`.

    Rows of `test` may also be in `train`: an image is not its own neighbour.
    """
    references = small[train]
    half_norm = np.square(references).sum(1) / 2
    place = np.full(len(small), -1)
    place[train] = np.arange(len(train))
    neighbours = []
    for start in range(0, len(test), BLOCK):
        block = test[start : start + BLOCK]
        similarity = small[block] @ references.T - half_norm
        own = np.flatnonzero(place[block] >= 0)
        similarity[own, place[block[own]]] = -np.inf
        neighbours.append(similarity.argmax(1))
    return train[np.concatenate(neighbours)]


def sample(rows: np.ndarray, size: int) -> np.ndarray:
    """At most `size` of the rows, drawn at random with a fixed seed, in ascending order."""
    return rows if len(rows) <= size else np.sort(np.random.default_rng(0).choice(rows, size, replace=False))
