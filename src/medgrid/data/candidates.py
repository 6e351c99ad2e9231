"""Pairs of images that may be near-duplicates, by the low frequencies of their thumbnails.

All pairs are compared, as products of matrices; `medgrid.data.alignment` then aligns those that are similar.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
import torch
from tqdm import tqdm

from medgrid.data.orientations import UPRIGHT, Orientation

FREQUENCIES = 8  # of the cosine transform, in each direction
BLOCK = 4096  # images per product of matrices
COMPARE_ALL_UP_TO = 100  # images; statistics of so few do not show what all images of a data set share
MIN_COSINE = 0.75  # of the signatures of a candidate pair; see benchmarks/README.md
MAX_CANDIDATES_PER_IMAGE = 64  # with later images: those with the highest cosines
# of a data set, upright and of the other orientations together: those with the highest cosines; aligning a million
# takes some minutes
MAX_CANDIDATES = 1_000_000


class Candidates(NamedTuple):
    """Pairs to align."""

    pairs: np.ndarray  # int64 [M, 2], the smaller number first
    dropped: int  # pairs beyond MAX_CANDIDATES_PER_IMAGE or MAX_CANDIDATES


def spectra(thumbnails: np.ndarray) -> np.ndarray:
    """Low frequencies, float32 [N, FREQUENCIES, FREQUENCIES], of thumbnails, uint8 [N, H, H].

    Brightness and contrast of each image are removed.
    """
    values = np.empty((len(thumbnails), FREQUENCIES, FREQUENCIES), np.float32)
    for start in range(0, len(thumbnails), BLOCK):
        images = thumbnails[start : start + BLOCK].astype(np.float32)
        images -= images.mean((1, 2), keepdims=True)
        images /= images.std((1, 2), keepdims=True) + 1
        low = scipy.fft.dctn(images, axes=(1, 2), norm="ortho", workers=-1)[:, :FREQUENCIES, :FREQUENCIES]
        values[start : start + BLOCK] = low
    return values


def signatures(low: np.ndarray, orientation: Orientation = UPRIGHT) -> torch.Tensor:
    """Unit vectors, float32 [N, FREQUENCIES**2 - 1], of images in an orientation; `low`: see `spectra`.

    Each frequency is standardised over the data set, in the images' own orientation, so that structures common to all
    images (a head on black, ribs) do not make pairs similar.
    """
    if low.shape[1:] != (FREQUENCIES, FREQUENCIES):
        raise ValueError(f"signatures are made of spectra, not of arrays of shape {low.shape}")
    mean, spread = (statistic.reshape(-1)[1:] for statistic in (low.mean(0), low.std(0)))
    vectors = orientation.of_spectra(low).reshape(len(low), -1)[:, 1:] - mean
    vectors /= spread + 1e-6
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    return torch.from_numpy(vectors)


def find_candidates(
    low: np.ndarray,
    orientation: Orientation = UPRIGHT,
    min_cosine: float = MIN_COSINE,
    max_pairs: int = MAX_CANDIDATES,
) -> Candidates:
    """Pairs of images of which the first, in an orientation, is similar to the second; `low`: see `spectra`.

    Their signatures have a cosine of at least `min_cosine`; of few images (COMPARE_ALL_UP_TO), all upright pairs are
    returned. If an image has more than MAX_CANDIDATES_PER_IMAGE pairs, or if there are more than `max_pairs` in all,
    only those with the highest cosines are returned, which include near-duplicates.
    """
    if orientation == UPRIGHT and len(low) <= COMPARE_ALL_UP_TO:
        return Candidates(np.stack(np.triu_indices(len(low), 1), 1), 0)
    upright = signatures(low)
    sides = [(upright, upright)]
    if orientation != UPRIGHT:
        # All heads that lie on their side are alike beside upright ones. So either image is turned to the other, and
        # the lower cosine counts
        sides = [(signatures(low, orientation), upright), (upright, signatures(low, orientation.inverse))]
    pair_blocks, cosine_blocks, dropped = [torch.empty((0, 2), dtype=torch.int64)], [torch.empty(0)], 0
    label = f"compare {orientation.name}".strip()
    for start in tqdm(range(0, len(low), BLOCK), desc=label, unit="block", mininterval=1):
        pairs, cosines, dropped_here = _pairs_of_block(sides, start, min_cosine)
        pair_blocks.append(pairs)
        cosine_blocks.append(cosines)
        dropped += dropped_here
    pairs, cosines = torch.cat(pair_blocks), torch.cat(cosine_blocks)
    if len(pairs) > max_pairs:
        dropped += len(pairs) - max_pairs
        pairs = pairs[cosines.topk(max_pairs).indices.sort().values]
    return Candidates(pairs.numpy(), dropped)


def _pairs_of_block(
    sides: list[tuple[torch.Tensor, torch.Tensor]], start: int, min_cosine: float
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Candidates of the BLOCK images from `start` with themselves and all later ones: pairs, cosines, dropped.

    `sides`: signatures of first and of second images; the lowest cosine counts.
    """
    size, rows = len(sides[0][0]), slice(start, start + BLOCK)
    pairs, cosines, count = torch.empty((0, 2), dtype=torch.int64), torch.empty(0), 0
    for other in range(start, size, BLOCK):
        columns = slice(other, other + BLOCK)
        products, *others = (first[rows] @ second[columns].T for first, second in sides)
        for each in others:
            torch.minimum(products, each, out=products)
        if other == start:
            products = products.triu(1)
        first, second = (products >= min_cosine).nonzero(as_tuple=True)
        count += len(first)
        pairs = torch.cat([pairs, torch.stack([first + start, second + other], 1)])
        cosines = torch.cat([cosines, products[first, second]])
        # pairs are dropped as they come, or a data set of blank images would fill the memory
        if len(pairs) > MAX_CANDIDATES_PER_IMAGE * BLOCK:
            closest = _closest(pairs, cosines)
            pairs, cosines = pairs[closest], cosines[closest]
    closest = _closest(pairs, cosines)
    return pairs[closest], cosines[closest], count - len(closest)


def _closest(pairs: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
    """Indices of the MAX_CANDIDATES_PER_IMAGE pairs with the highest cosines of each first image."""
    order = torch.argsort(cosines, descending=True)
    order = order[torch.argsort(pairs[order, 0], stable=True)]
    pairs = pairs[order]
    counts = torch.unique_consecutive(pairs[:, 0], return_counts=True)[1]
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return order[torch.arange(len(pairs)) - starts < MAX_CANDIDATES_PER_IMAGE]
