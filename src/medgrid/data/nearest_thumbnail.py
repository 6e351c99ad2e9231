"""The nearest-thumbnail lookup: a baseline that any network should exceed.

It predicts the label of the training image with the nearest thumbnail (a nearest neighbour of raw pixels).
"""

import numpy as np
import pandas as pd

SIDE = 16  # px of the thumbnails that are compared
BLOCK = 1024  # images compared at a time
REFERENCES = 16 * BLOCK  # images that they are compared with at a time: products of a block take 64 MiB
MAX_QUERIES = 10_000  # images of the shortcuts' cross-validation, drawn at random where there are more


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
    closest, highest = np.empty(len(test), int), np.full(len(test), -np.inf, np.float32)
    for first in range(0, len(train), REFERENCES):
        rows = train[first : first + REFERENCES]
        references, place = small[rows], np.full(len(small), -1)
        place[rows] = np.arange(len(rows))
        half_norm = np.square(references).sum(1) / 2
        for start in range(0, len(test), BLOCK):
            block = slice(start, start + BLOCK)
            values = small[test[block]] @ references.T
            values -= half_norm
            own = np.flatnonzero(place[test[block]] >= 0)
            values[own, place[test[block][own]]] = -np.inf
            best = values.argmax(1)
            value = values[np.arange(len(best)), best]
            better = value > highest[block]
            closest[block][better] = rows[best[better]]
            highest[block][better] = value[better]
    return closest


def sample(rows: np.ndarray, size: int) -> np.ndarray:
    """At most `size` of the rows, drawn at random with a fixed seed, in ascending order."""
    return rows if len(rows) <= size else np.sort(np.random.default_rng(0).choice(rows, size, replace=False))


def lookup_labels(table: pd.DataFrame, thumbnails: str) -> np.ndarray:
    """Label that the lookup predicts for each test image of a split; "" for rows of other parts.

    `table`: columns row, label and part; `thumbnails`: the .npz of `write_near_duplicates`, with all rows.
    """
    with np.load(thumbnails) as arrays:
        small = shrink(arrays["thumbnails"])
    part, row = table["part"].to_numpy(), table["row"].to_numpy()
    label_of = pd.Series(table["label"].to_numpy(), row)[~pd.Index(row).duplicated()]
    labels = np.full(len(table), "", object)
    neighbours = nearest(small, row[part == "train"], row[part == "test"])
    labels[part == "test"] = label_of[neighbours].to_numpy()
    return labels
