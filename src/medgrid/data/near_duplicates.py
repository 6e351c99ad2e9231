"""Which images belong together: the same file, the same pixels, or the same picture."""

import numpy as np
import pandas as pd
import torch

from medgrid.data.alignment import candidates, correlations, signatures
from medgrid.data.clusters import THRESHOLDS, read_images
from medgrid.data.thumbnails import make_thumbnails
from medgrid.utils.files import atomic_write
from medgrid.utils.threads import usable_threads

REJECTED = 100  # pairs that come closest to being near-duplicates, and are not: they are kept to look at


def _first_of_kind(values: pd.Series) -> np.ndarray:
    """Each image with the first that has the same value, int64 [M, 2]."""
    codes, kinds = pd.factorize(values)
    rows = np.arange(len(codes))
    first = np.full(len(kinds), len(codes))
    np.minimum.at(first, codes, rows)
    later = rows[first[codes] < rows]
    return np.stack([first[codes[later]], later], 1)


def find_pairs(images: pd.DataFrame, thumbnails: np.ndarray) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pairs of rows that belong together: first, second, kind, correlation, detail; and how many were looked at.

    kind: file (the same bytes), pixels (the same decoded pixels, mode and size), near-duplicate (see TWIN) or rejected (close,
    but no near-duplicate). Copies are named once, each with the first of its kind; near-duplicates are looked for among the first ones.
    """
    same_file = _first_of_kind(images["file_sha256"])
    same_pixels = _first_of_kind(images["pixels_sha256"])
    # a file's first copy may not be the first with its pixels; either pair says as much as is new
    same_pixels = same_pixels[~np.isin(same_pixels[:, 1], same_file[:, 1])]
    alone = np.flatnonzero(~images.duplicated("pixels_sha256"))
    found = candidates(signatures(thumbnails[alone]))
    strength = correlations(thumbnails[alone], found.pairs)
    near_duplicate = (strength >= THRESHOLDS).all(1)
    order = np.argsort(-strength.sum(1), kind="stable")
    close = order[~near_duplicate[order]][:REJECTED]
    tables = [
        pd.DataFrame({"first": pairs[:, 0], "second": pairs[:, 1], "kind": kind, "correlation": r[0], "detail": r[1]})
        for kind, pairs, r in (
            ("file", same_file, (1.0, 1.0)),
            ("pixels", same_pixels, (1.0, 1.0)),
            ("near_duplicate", alone[found.pairs[near_duplicate]], strength[near_duplicate].T),
            ("rejected", alone[found.pairs[close]], strength[close].T),
        )
    ]
    return pd.concat(tables, ignore_index=True), {"candidates": len(found.pairs), "not_looked_at": found.cut}


def write_near_duplicates(
    settings: dict, archive: str, inventory: str, target: str, thumbnails: str, threads: int = 0
) -> None:
    """Write the CSV `target` (see `find_pairs`) and the .npz `thumbnails`, of the inventory's images that decode.

    The .npz: thumbnails, uint8 [N, SIZE, SIZE]; file_sha256 [N]; candidates and not_looked_at, counts of pairs.
    `archive`: a zip or a folder.
    """
    if threads:
        torch.set_num_threads(usable_threads(threads))
    images = read_images(inventory)
    small, images["file_sha256"] = make_thumbnails(archive, list(images["path"]), threads)
    pairs, looked_at = find_pairs(images, small)
    with atomic_write(thumbnails) as temporary, temporary.open("wb") as handle:
        np.savez(handle, thumbnails=small, file_sha256=images["file_sha256"].to_numpy(str), **looked_at)
    with atomic_write(target) as temporary:
        pairs.to_csv(temporary, index=False, float_format="%.4f")
