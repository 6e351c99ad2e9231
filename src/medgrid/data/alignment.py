"""Pairs of images that show the same, though their pixels differ: re-encoded, resized, cropped a little, brightened.

Two steps. A perceptual signature, the low frequencies of each thumbnail, is compared for all pairs as products of
matrices; then the pairs that come close are laid over each other and correlated.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample
from tqdm import tqdm

LOW = 8  # frequencies of the cosine transform, in each direction
BLOCK = 4096  # images compared at a time
ALL = 100  # images of a data set, up to which every pair is a candidate: so few say little of what they share
CLOSE = 0.75  # cosine of two signatures from which a pair is looked at; see benchmarks/README.md
MOST = 64  # candidates of an image with later ones, at most: the closest
BUDGET = 1_000_000  # candidates of a data set that are aligned, at most: the closest, in some minutes
PAIRS = 256  # aligned at a time: they fit into a processor's cache
STEPS = {4: 5, 2: 3, 1: 1}  # of the alignment, at a quarter of the size, a half, and the whole
HOPEFUL = {4: 0.85, 2: 0.94}  # correlation there from which a pair is looked at more closely
BLUR = 9  # px of a thumbnail: details are finer
EDGE = 0.12  # share of the side that an alignment may leave out


class Candidates(NamedTuple):
    pairs: np.ndarray  # int64 [M, 2], the smaller number first
    cut: int  # candidates beyond MOST of an image, or BUDGET of all, which are not among them


def signatures(thumbnails: np.ndarray) -> torch.Tensor:
    """Unit vectors, float32 [N, LOW * LOW - 1], of thumbnails, uint8 [N, H, W].

    Brightness and contrast are taken out of each image; then each frequency is measured against its own mean and
    spread over the data set, so that what all images share (a head on black, ribs) makes no two of them alike.
    """
    found = np.empty((len(thumbnails), LOW * LOW - 1), np.float32)
    for start in range(0, len(thumbnails), BLOCK):
        images = thumbnails[start : start + BLOCK].astype(np.float32)
        images -= images.mean((1, 2), keepdims=True)
        images /= images.std((1, 2), keepdims=True) + 1
        low = scipy.fft.dctn(images, axes=(1, 2), norm="ortho", workers=-1)[:, :LOW, :LOW]
        found[start : start + BLOCK] = low.reshape(len(images), -1)[:, 1:]
    found -= found.mean(0)
    found /= found.std(0) + 1e-6
    found /= np.linalg.norm(found, axis=1, keepdims=True) + 1e-6
    return torch.from_numpy(found)


def _closest(pairs: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
    """The MOST closest pairs of each first image."""
    order = torch.argsort(cosines, descending=True)
    order = order[torch.argsort(pairs[order, 0], stable=True)]
    pairs = pairs[order]
    counts = torch.unique_consecutive(pairs[:, 0], return_counts=True)[1]
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return order[torch.arange(len(pairs)) - starts < MOST]


def candidates(signatures: torch.Tensor, close: float = CLOSE, budget: int = BUDGET) -> Candidates:
    """Pairs whose signatures' cosine is at least `close`: the closest MOST of an image with later ones.

    And of all of them the closest `budget`: true near-duplicates are among the closest by far. Of up to ALL images, every pair.
    """
    if len(signatures) <= ALL:
        return Candidates(np.stack(np.triu_indices(len(signatures), 1), 1), 0)
    found, strength, cut = [torch.empty((0, 2), dtype=torch.int64)], [torch.empty(0)], 0
    starts = range(0, len(signatures), BLOCK)
    for start in tqdm(starts, desc="compare", unit="block", mininterval=1):
        rows = signatures[start : start + BLOCK]
        pairs, cosines = torch.empty((0, 2), dtype=torch.int64), torch.empty(0)
        for other in range(start, len(signatures), BLOCK):
            alike = rows @ signatures[other : other + BLOCK].T
            if other == start:
                alike = alike.triu(1)
            first, second = (alike >= close).nonzero(as_tuple=True)
            pairs = torch.cat([pairs, torch.stack([first + start, second + other], 1)])
            cosines = torch.cat([cosines, alike[first, second]])
            if len(pairs) > MOST * len(rows):  # or a data set of blank images would fill the memory
                kept = _closest(pairs, cosines)
                cut += len(pairs) - len(kept)
                pairs, cosines = pairs[kept], cosines[kept]
        kept = _closest(pairs, cosines)
        cut += len(pairs) - len(kept)
        found.append(pairs[kept])
        strength.append(cosines[kept])
    pairs, cosines = torch.cat(found), torch.cat(strength)
    if len(pairs) > budget:
        cut += len(pairs) - budget
        pairs = pairs[cosines.topk(budget).indices.sort().values]
    return Candidates(pairs.numpy(), cut)


def _standard(images: torch.Tensor) -> torch.Tensor:
    images = images - images.mean((2, 3), keepdim=True)
    return images / (_spread(images) + 1e-3)


def _spread(centred: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each image; a third of the time of torch's own."""
    return (centred * centred).mean((2, 3), keepdim=True).sqrt()


def _levels(thumbnails: np.ndarray) -> dict[int, torch.Tensor]:
    """Thumbnails at each size of STEPS, standardised, float16 [N, 1, H, W], without what JPEG leaves of edges."""
    levels = {part: [] for part in STEPS}
    for start in range(0, len(thumbnails), BLOCK):
        images = torch.from_numpy(thumbnails[start : start + BLOCK]).float().unsqueeze(1)
        for part, made in levels.items():
            soft = avg_pool2d(avg_pool2d(images, part), 3, 1, 1, count_include_pad=False)
            made.append(_standard(soft).half())
    return {part: torch.cat(made) for part, made in levels.items()}


def _inner(images: torch.Tensor) -> torch.Tensor:
    """Without the margin that an alignment may leave out."""
    margin = round(images.shape[-1] * EDGE / 2)
    return images[..., margin:-margin, margin:-margin]


def _warp(images: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Images [B, 1, H, W], scaled and shifted; `change` [B, 4]: scales, shifts in x and y, of half the side."""
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = change[:, 0], change[:, 1], change[:, 2:]
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def _aligned(
    moving: torch.Tensor, fixed: torch.Tensor, change: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlation [B] of images [B, 1, H, W] after the scale and shift that match best, and that `change` [B, 4].

    Gauss-Newton steps from a first `change` (Lucas and Kanade 1981), with the slopes of the image that stays, which
    are computed once (Baker and Matthews 2004: inverse compositional).
    """
    side = fixed.shape[-1]
    indices = (torch.arange(side) + 0.5) * 2 / side - 1
    x, y = indices.view(1, 1, 1, -1), indices.view(1, 1, -1, 1)
    centred = _inner(fixed) - _inner(fixed).mean((2, 3), keepdim=True)
    spread = _spread(centred)
    wanted = centred / (spread + 1e-3)
    slope_y, slope_x = torch.gradient(fixed, dim=(2, 3))
    # of a scale by one unit, and of a shift by one unit, in the coordinates of the grid
    slopes = torch.cat([slope_x * x, slope_y * y, slope_x, slope_y], 1)
    slopes = (_inner(slopes) * (side / 2)).flatten(2)  # [B, 4, P]
    normal = slopes @ slopes.transpose(1, 2) + 1e-2 * side * side * torch.eye(4)
    solver = torch.linalg.solve(normal, slopes)  # [B, 4, P]
    best = torch.full((len(moving),), -1.0)
    best_change = change
    for step in range(steps + 1):
        warped = _inner(_warp(moving, change))
        seen = _standard(warped)
        found = (seen * wanted).mean((1, 2, 3))
        better = found > best
        best = torch.where(better, found, best)
        best_change = torch.where(better[:, None], change, best_change)
        if step == steps:
            break
        # brightness and contrast of what is seen, as those of what stays
        rest = (seen - wanted) * spread
        move = (solver @ rest.flatten(2).transpose(1, 2)).squeeze(2)
        scale = change[:, :2] / (1 + move[:, :2].clamp(-EDGE, EDGE))
        shift = change[:, 2:] - scale * move[:, 2:]
        change = torch.cat([scale.clamp(1 - EDGE, 1 + EDGE), shift.clamp(-EDGE, EDGE)], 1)
    return best, best_change


def _sharp(images: torch.Tensor) -> torch.Tensor:
    """What a blur takes away from images [B, 1, H, W], without the margin; by sums along rows and columns."""
    blurred = images
    for axis in (2, 3):
        sums = blurred.cumsum(axis)
        first = sums.narrow(axis, BLUR - 1, 1)
        size = sums.shape[axis] - BLUR
        blurred = torch.cat([first, sums.narrow(axis, BLUR, size) - sums.narrow(axis, 0, size)], axis)
    margin = BLUR // 2
    return images[..., margin:-margin, margin:-margin] - blurred / BLUR**2


def _detail(moving: torch.Tensor, fixed: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Correlation [B] of the details of aligned images: outlines that many images share do not count."""
    one, other = (_standard(_sharp(images)) for images in (_warp(moving, change), fixed))
    return (one * other).mean((1, 2, 3))


def _best(levels: dict[int, torch.Tensor], moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
    """Correlations [B, 2] after alignment, of images and of their details; `moving`, `fixed` [B]: places in `levels`.

    At a quarter of the size first; where that is promising, more closely. Details of the others are not looked at: 0.
    """
    change = torch.tensor([1.0, 1, 0, 0]).expand(len(moving), 4)
    found = torch.zeros(len(moving), 2)
    left = torch.arange(len(moving))
    for part, steps in STEPS.items():
        one, other = levels[part][moving[left]].float(), levels[part][fixed[left]].float()
        best, change = _aligned(one, other, change, steps)
        found[left, 0] = best
        hopeful = best >= HOPEFUL.get(part, -1)
        left, change = left[hopeful], change[hopeful]
        if not len(left):
            return found
    found[left, 1] = _detail(one, other, change)
    return found


def correlations(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Correlations of each pair after alignment, float32 [M, 2] in -1..1: of the images, and of their details."""
    found = np.empty((len(pairs), 2), np.float32)
    if not len(pairs):
        return found
    used, indices = np.unique(pairs, return_inverse=True)
    indices = torch.from_numpy(indices.reshape(-1, 2))
    with torch.inference_mode():
        levels = _levels(thumbnails[used])
        for start in tqdm(range(0, len(pairs), PAIRS), desc="align", unit="block", mininterval=1):
            block = indices[start : start + PAIRS]
            found[start : start + len(block)] = _best(levels, block[:, 0], block[:, 1]).numpy()
    return found
