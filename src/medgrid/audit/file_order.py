"""File order: whether images with close file numbers look alike, as slices of one scan do.

If they do, file names show which images belong together, although no patient is named, and a split image by image
has slices of one scan in training and in test.
"""

from typing import Any

import numpy as np
import pandas as pd

from medgrid.data.clusters import NEAR_DUPLICATES, cluster_ids
from medgrid.data.nearest_thumbnail import MAX_QUERIES, nearest, sample
from medgrid.data.series import stems_and_positions

CLOSE = 5  # largest distance of "close" file numbers
MIN_IMAGES = 20  # of a stem and class: among fewer, most numbers are close
SHUFFLES = 999  # random orders; the least p-value is 1 / (SHUFFLES + 1)


def file_order(images: pd.DataFrame, small: np.ndarray, pairs: pd.DataFrame) -> dict[str, Any] | None:
    """How often the most similar image has a close file number, compared with shuffled numbers.

    `images`: columns path and label; `small`: their thumbnails (see `shrink`); `pairs`: see `find_pairs`.

    Similar images are searched within a class and file-name stem (see `stems_and_positions`). Of near-duplicates,
    only the first is used, so they are neither images nor neighbours. None if no stem has MIN_IMAGES such images.

    - close: CLOSE; images: whose nearest neighbour was computed, a random sample of at most MAX_QUERIES
    - observed: share of them (0..1) whose nearest thumbnail has a file number at most CLOSE positions away
    - shuffled: the mean share over SHUFFLES random orders of the numbers within each stem
    - p: p-value of this permutation test: share of orders with at least as many close neighbours
    - classes: images, observed, shuffled and p of each class
    """
    table = _first_of_near_duplicates(images, pairs)
    if table.empty:
        return None
    queries = sample(table.index.to_numpy(), MAX_QUERIES)
    labels, classes = pd.factorize(table.loc[queries, "label"], sort=True)
    counts = _close_counts(table, queries, _neighbours(table, queries, small), labels, len(classes))
    images_of = np.bincount(labels, minlength=len(classes))
    by_class = {str(name): _compare(images_of[i], counts[:, i]) for i, name in enumerate(classes)}
    return {"close": CLOSE, **_compare(len(queries), counts.sum(1)), "classes": by_class}


def _first_of_near_duplicates(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Columns label, unit (of class and stem) and position of the images to compare, with their row numbers as index.

    Without images of units with fewer than MIN_IMAGES.
    """
    stems, positions = stems_and_positions(images["path"])
    table = pd.DataFrame({"label": images["label"].to_numpy(), "stem": stems, "position": positions})
    table["cluster"] = cluster_ids(len(images), pairs, NEAR_DUPLICATES)
    table = table[table["stem"] >= 0].drop_duplicates(["label", "stem", "cluster"])
    table["unit"] = table.groupby(["label", "stem"]).ngroup()
    sizes = table.groupby("unit")["position"].transform("size")
    return table.loc[sizes >= MIN_IMAGES, ["label", "unit", "position"]]


def _neighbours(table: pd.DataFrame, queries: np.ndarray, small: np.ndarray) -> np.ndarray:
    """For each of the rows `queries` the one in its unit with the nearest thumbnail, int [Q]."""
    rows_of = {unit: rows.index.to_numpy() for unit, rows in table.groupby("unit")}
    neighbours = pd.Series(0, index=queries)
    for unit, rows in table.loc[queries].groupby("unit"):
        neighbours[rows.index] = nearest(small, rows_of[unit], rows.index.to_numpy())
    return neighbours.to_numpy()


def _close_counts(
    table: pd.DataFrame, queries: np.ndarray, neighbours: np.ndarray, labels: np.ndarray, classes: int
) -> np.ndarray:
    """Pairs of query and neighbour with close positions, int [1 + SHUFFLES, classes]: as they are, then shuffled.

    `labels`: class of each query, int [Q]. Positions of those images are shuffled that occur in a pair, within units.
    """
    rows, ends = np.unique(np.concatenate([queries, neighbours]), return_inverse=True)
    first, second = ends.reshape(2, -1)
    units, positions = (table.loc[rows, column].to_numpy() for column in ("unit", "position"))
    by_unit = np.argsort(units, kind="stable")
    rng = np.random.default_rng(0)
    counts = np.empty((1 + SHUFFLES, classes), int)
    for i in range(1 + SHUFFLES):
        close = np.abs(positions[first] - positions[second]) <= CLOSE
        counts[i] = np.bincount(labels[close], minlength=classes)
        shuffled = np.empty_like(positions)
        # units are integers: sorting by unit and a random fraction shuffles each unit in its place
        shuffled[by_unit] = positions[np.argsort(units + rng.random(len(units)))]
        positions = shuffled
    return counts


def _compare(images: int, counts: np.ndarray) -> dict[str, Any]:
    """Observed and shuffled shares of close neighbours and the p-value; `counts`: [1 + SHUFFLES], observed first."""
    return {
        "images": int(images),
        "observed": float(counts[0] / images),
        "shuffled": float(counts[1:].mean() / images),
        "p": float((counts >= counts[0]).mean()),
    }
