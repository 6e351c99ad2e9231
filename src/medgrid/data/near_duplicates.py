"""Pairs of images that are copies or near-duplicates: equal files, equal pixels, or equal after alignment."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from medgrid.data.alignment import correlations
from medgrid.data.candidates import MAX_CANDIDATES, find_candidates, spectra
from medgrid.data.clusters import margin, read_images
from medgrid.data.orientations import TURNED, UPRIGHT, Orientation
from medgrid.data.thumbnails import make_thumbnails
from medgrid.utils.files import atomic_write
from medgrid.utils.threads import usable_threads

COLUMNS = ["first", "second", "kind", "orientation", "correlation", "detail"]
REJECTED = 100  # the closest pairs that are not near-duplicates; kept for inspection


def find_pairs(images: pd.DataFrame, thumbnails: np.ndarray) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pairs of copies and near-duplicates, and the numbers of `candidates` and of `candidates_dropped`.

    `images`: columns file_sha256 and pixels_sha256; `thumbnails`: uint8 [N, H, W].
    Columns of the pairs: first, second (row numbers), kind, orientation, correlation, detail (in -1..1).
    kind: file (the same bytes), pixels (the same decoded pixels, mode and size), near_duplicate (at least
    NEAR_DUPLICATE_CORRELATIONS) or rejected (the closest pairs below that). A copy is in one pair, with the first
    image of its kind; only these first images are compared for near-duplicates.
    orientation: of the first image when it is most similar to the second, such as "mirrored, turned 90"; usually "".
    """
    same_file = _pairs_with_first(images["file_sha256"])
    same_pixels = _pairs_with_first(images["pixels_sha256"])
    # a copy of a file is in a pair already
    same_pixels = same_pixels[~np.isin(same_pixels[:, 1], same_file[:, 1])]
    unique = np.flatnonzero(~images.duplicated("pixels_sha256"))
    aligned, counts = align_candidates(thumbnails[unique])
    aligned[["first", "second"]] = unique[aligned[["first", "second"]].to_numpy()]
    is_near_duplicate = margin(aligned) >= 0
    rejected = aligned[~is_near_duplicate]
    closest = (rejected["correlation"] + rejected["detail"]).sort_values(ascending=False, kind="stable").index
    tables = [
        _copies("file", same_file),
        _copies("pixels", same_pixels),
        aligned[is_near_duplicate].assign(kind="near_duplicate"),
        rejected.loc[closest[:REJECTED]].assign(kind="rejected"),
    ]
    return pd.concat(tables, ignore_index=True)[COLUMNS], counts


def align_candidates(thumbnails: np.ndarray) -> tuple[pd.DataFrame, dict[str, int]]:
    """Candidate pairs in all orientations, aligned, and their counts; `thumbnails`: uint8 [N, H, H].

    Columns: first, second, orientation, correlation, detail (see `find_pairs`). A pair has one row, that of the
    orientation with the highest margin.
    """
    low, tables, dropped = spectra(thumbnails), [], 0
    for orientation in (UPRIGHT, *TURNED):
        limit = MAX_CANDIDATES if orientation == UPRIGHT else MAX_CANDIDATES // len(TURNED)
        candidates = find_candidates(low, orientation, max_pairs=limit)
        values = _correlations(thumbnails, candidates.pairs, orientation)
        columns = {"first": candidates.pairs[:, 0], "second": candidates.pairs[:, 1]}
        columns |= {"orientation": orientation.name, "correlation": values[:, 0], "detail": values[:, 1]}
        tables.append(pd.DataFrame(columns))
        dropped += candidates.dropped
    table = pd.concat(tables, ignore_index=True)
    counts = {"candidates": len(table), "candidates_dropped": dropped}
    order = margin(table).sort_values(ascending=False, kind="stable").index
    table = table.loc[order].drop_duplicates(["first", "second"])
    return table.sort_values(["first", "second"], ignore_index=True), counts


def _correlations(thumbnails: np.ndarray, pairs: np.ndarray, orientation: Orientation) -> np.ndarray:
    """See `correlations`; the first image of each pair is in an orientation."""
    if orientation == UPRIGHT:
        return correlations(thumbnails, pairs)
    (first, one), (second, other) = (np.unique(side, return_inverse=True) for side in pairs.T)
    both = np.concatenate([orientation.of_images(thumbnails[first]), thumbnails[second]])
    return correlations(both, np.stack([one, other + len(first)], 1))


def _pairs_with_first(values: pd.Series) -> np.ndarray:
    """Each repeated row with the first row that has its value, int64 [M, 2]."""
    codes, unique = pd.factorize(values)
    rows = np.arange(len(codes))
    first = np.full(len(unique), len(codes))
    np.minimum.at(first, codes, rows)
    later = rows[first[codes] < rows]
    return np.stack([first[codes[later]], later], 1)


def _copies(kind: str, pairs: np.ndarray) -> pd.DataFrame:
    """Rows of `find_pairs` for copies, which correlate perfectly."""
    columns = {"first": pairs[:, 0], "second": pairs[:, 1], "kind": kind, "orientation": UPRIGHT.name}
    return pd.DataFrame(columns | {"correlation": 1.0, "detail": 1.0})


def write_near_duplicates(
    settings: dict[str, Any], archive: str, inventory: str, target: str, thumbnails: str, threads: int = 0
) -> None:
    """Write the CSV `target` (see `find_pairs`) and the .npz `thumbnails`, of the inventory's images that decode.

    The .npz: thumbnails, uint8 [N, SIZE, SIZE]; file_sha256 [N]; candidates and candidates_dropped, counts of pairs.
    `archive`: a zip or a folder. `settings`: not used.
    """
    if threads:
        torch.set_num_threads(usable_threads(threads))
    images = read_images(inventory)
    arrays, images["file_sha256"] = make_thumbnails(archive, list(images["path"]), threads)
    pairs, counts = find_pairs(images, arrays)
    saved: dict[str, Any] = {"thumbnails": arrays, "file_sha256": images["file_sha256"].to_numpy(str), **counts}
    with atomic_write(thumbnails) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **saved)
    with atomic_write(target) as temporary:
        pairs.to_csv(temporary, index=False, float_format="%.4f")
