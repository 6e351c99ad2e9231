"""Series: images with consecutive file numbers that probably show one patient, such as slices of one scan."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from medgrid.data.clusters import NEAR_DUPLICATES, cluster_ids, components

NUMBER = re.compile(r"\d+")
MAX_DISTANT_JOINS = 0.01  # share of images far apart in the order that would be joined, if they were neighbours
DISTANT = 50  # positions; images that are closer may be of one patient
SHUFFLES = 20  # orders from which the threshold of a stem is computed: it varies by a few percent of its rank


def stems_and_positions(paths: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Stem of each path and its position among the images of this stem, int [N] each.

    A stem is a folder and a file name without its suffix and numbers: `a/Te-gl_1.jpg` and `a/Te-gl_2.jpg` have the
    same, `a/Te-glTr_1.jpg` has another. Positions 0, 1, ... follow the numbers; of several numbers in a name, the
    first has precedence. Gaps do not count. The stem of a name without numbers is -1, its position 0.
    """
    keys = []
    for row, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        name = name.rpartition(".")[0] or name
        keys.append((f"{folder}/{NUMBER.sub('#', name)}", tuple(map(int, NUMBER.findall(name))), path, row))
    keys.sort()
    stems, positions = np.full(len(keys), -1), np.zeros(len(keys), int)
    stem, position, previous = -1, 0, None
    for name, numbers, _, row in keys:
        if not numbers:
            continue
        stem, position = (stem, position + 1) if name == previous else (stem + 1, 0)
        stems[row], positions[row], previous = stem, position, name
    return stems, positions


def series_ids(
    images: pd.DataFrame, thumbnails: np.ndarray, pairs: pd.DataFrame, series: str | dict[str, Any]
) -> np.ndarray:
    """Series of each image, int [N]; an image without one is alone in its series.

    `images`: columns path and label; `thumbnails`: uint8 [N, H, W]; `pairs`: see `find_pairs`.
    `series`: chains, for consecutive images of a stem that look alike (see `_joins`); or blocks, the number of
    consecutive images of a stem in one series, with classes, the labels to which this applies (None: all).
    """
    stems, positions = stems_and_positions(images["path"])
    if isinstance(series, str):
        near_duplicates = cluster_ids(len(images), pairs, NEAR_DUPLICATES)
        joins = [np.empty((0, 2), int), *_joins(stems, positions, thumbnails, near_duplicates)]
        starts, ends = np.concatenate(joins).T
        return components(starts, ends, len(images))
    in_block = stems >= 0
    if series["classes"] is not None:
        in_block &= images["label"].isin(series["classes"]).to_numpy()
    blocks = pd.DataFrame({"stem": stems, "block": positions // series["blocks"]})
    # an image outside of blocks is alone
    blocks["row"] = np.where(in_block, -1, np.arange(len(images)))
    return blocks.groupby(["stem", "block", "row"], sort=False).ngroup().to_numpy()


def _joins(
    stems: np.ndarray, positions: np.ndarray, thumbnails: np.ndarray, near_duplicates: np.ndarray
) -> Iterator[np.ndarray]:
    """Rows of consecutive images that look alike, int [M, 2], of each stem.

    Images look alike if the cosine of their signatures (low frequencies, see `medgrid.data.candidates`) exceeds that
    of all but MAX_DISTANT_JOINS of the neighbours in shuffled orders of the stem that are DISTANT in its own order.
    Near-duplicates do not count there: they are in one cluster anyway. So no images of a small stem are joined, and
    fewer images of one patient where a stem has so few patients that distant images are often of one, too.
    """
    from medgrid.data.candidates import signatures, spectra  # takes seconds, because of torch

    vectors = signatures(spectra(thumbnails)).numpy()
    rng = np.random.default_rng(0)

    def cosines(rows: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", vectors[rows[:-1]], vectors[rows[1:]])

    ordered = np.lexsort((positions, stems))
    for rows in np.split(ordered, np.flatnonzero(np.diff(stems[ordered])) + 1):
        if stems[rows[0]] < 0 or len(rows) < 3:
            continue
        shuffled = []
        for _ in range(SHUFFLES):
            order = rng.permutation(rows)
            different = near_duplicates[order[:-1]] != near_duplicates[order[1:]]
            distant = np.abs(np.diff(positions[order])) > DISTANT
            shuffled.append(cosines(order)[different & distant])
        values = np.concatenate(shuffled)
        if len(values):
            threshold = np.quantile(values, 1 - MAX_DISTANT_JOINS, method="higher")
            yield np.stack([rows[:-1], rows[1:]], 1)[cosines(rows) > threshold]
