"""Pairs of images that are copies or near-duplicates: equal files, equal pixels, or equal after alignment."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from medgrid.data.alignment import correlations
from medgrid.data.candidates import find_candidates, signatures
from medgrid.data.clusters import NEAR_DUPLICATE_CORRELATIONS, read_images
from medgrid.data.thumbnails import make_thumbnails
from medgrid.utils.files import atomic_write
from medgrid.utils.threads import usable_threads

REJECTED = 100  # the closest pairs that are not near-duplicates; kept for inspection


def find_pairs(images: pd.DataFrame, thumbnails: np.ndarray) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pairs of copies and near-duplicates, and the numbers of `candidates` and of `candidates_dropped`.

    `images`: columns file_sha256 and pixels_sha256; `thumbnails`: uint8 [N, H, W].
    Columns of the pairs: first, second (row numbers), kind, correlation, detail (in -1..1).
    kind: file (the same bytes), pixels (the same decoded pixels, mode and size), near_duplicate (at least
    NEAR_DUPLICATE_CORRELATIONS) or rejected (the closest pairs below that). A copy is in one pair, with the first
    image of its kind; only these first images are compared for near-duplicates.
    """
    same_file = _pairs_with_first(images["file_sha256"])
    same_pixels = _pairs_with_first(images["pixels_sha256"])
    # a copy of a file is in a pair already
    same_pixels = same_pixels[~np.isin(same_pixels[:, 1], same_file[:, 1])]
    unique = np.flatnonzero(~images.duplicated("pixels_sha256"))
    candidates = find_candidates(signatures(thumbnails[unique]))
    values = correlations(thumbnails[unique], candidates.pairs)
    is_near_duplicate = np.all(values >= NEAR_DUPLICATE_CORRELATIONS, 1)
    order = np.argsort(-values.sum(1), kind="stable")
    rejected = order[~is_near_duplicate[order]][:REJECTED]
    tables = [
        _table("file", same_file),
        _table("pixels", same_pixels),
        _table("near_duplicate", unique[candidates.pairs[is_near_duplicate]], values[is_near_duplicate]),
        _table("rejected", unique[candidates.pairs[rejected]], values[rejected]),
    ]
    counts = {"candidates": len(candidates.pairs), "candidates_dropped": candidates.dropped}
    return pd.concat(tables, ignore_index=True), counts


def _pairs_with_first(values: pd.Series) -> np.ndarray:
    """Each repeated row with the first row that has its value, int64 [M, 2]."""
    codes, unique = pd.factorize(values)
    rows = np.arange(len(codes))
    first = np.full(len(unique), len(codes))
    np.minimum.at(first, codes, rows)
    later = rows[first[codes] < rows]
    return np.stack([first[codes[later]], later], 1)


def _table(kind: str, pairs: np.ndarray, values: np.ndarray | None = None) -> pd.DataFrame:
    """Rows of `find_pairs`; copies have no `values` and correlate perfectly."""
    correlation, detail = (1.0, 1.0) if values is None else values.T
    columns = {"first": pairs[:, 0], "second": pairs[:, 1], "kind": kind}
    return pd.DataFrame(columns | {"correlation": correlation, "detail": detail})


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
