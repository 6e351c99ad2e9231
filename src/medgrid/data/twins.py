"""Pairs of images that show the same, though their pixels differ: re-encoded, resized, cropped a little, brightened.

Two steps. A perceptual signature, the low frequencies of each thumbnail, is compared for all pairs as products of
matrices; then the few pairs that come close are laid over each other and correlated.
"""

import numpy as np
import scipy.fft
import torch
from tqdm import tqdm

LOW = 12  # frequencies of the cosine transform, in each direction
BLOCK = 4096  # images compared at a time
CLOSE = 0.7  # cosine of two signatures from which a pair is looked at; a crop of 3 % a side leaves 0.73
STEPS = 4  # of each alignment
HOPEFUL = 0.85  # correlation at half the size from which a pair is aligned at full size
PAIRS = 2048  # aligned at a time
BLUR = 9  # px of a thumbnail: details are finer
EDGE = 0.12  # share of the side that an alignment may leave out


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


def candidates(signatures: torch.Tensor, close: float = CLOSE) -> np.ndarray:
    """Pairs whose signatures' cosine is at least `close`, int64 [M, 2], the smaller number first."""
    found = []
    starts = range(0, len(signatures), BLOCK)
    for start in tqdm(starts, desc="compare", unit="block", mininterval=1):
        rows = signatures[start : start + BLOCK]
        for other in range(start, len(signatures), BLOCK):
            alike = (rows @ signatures[other : other + BLOCK].T) >= close
            first, second = alike.nonzero(as_tuple=True)
            pairs = torch.stack([first + start, second + other], 1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return torch.cat(found).numpy() if found else np.empty((0, 2), np.int64)


def _standard(images: torch.Tensor) -> torch.Tensor:
    images = images - images.mean((2, 3), keepdim=True)
    return images / (images.std((2, 3), keepdim=True) + 1e-3)


def _warp(images: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Images [B, 1, H, W], scaled and shifted; `change` [B, 4]: log scales, shifts in x and y, of half the side."""
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = change[:, 0].exp(), change[:, 1].exp()
    theta[:, :, 2] = change[:, 2:]
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _aligned(moving: torch.Tensor, fixed: torch.Tensor, change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlation [B] of images [B, 1, H, W] after the scale and shift that match best, and that `change` [B, 4].

    Gauss-Newton steps from a first `change` (Lucas and Kanade 1981).
    """
    side = moving.shape[-1]
    places = (torch.arange(side) + 0.5) * 2 / side - 1
    x, y = places.view(1, 1, 1, -1), places.view(1, 1, -1, 1)
    best = torch.full((len(moving),), -1.0)
    margin = round(side * EDGE / 2)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    for _ in range(STEPS + 1):
        warped = _standard(_warp(moving, change))
        seen, wanted = _standard(warped[inner]), _standard(fixed[inner])
        best = torch.maximum(best, (seen * wanted).mean((1, 2, 3)))
        slope_y, slope_x = torch.gradient(warped, dim=(2, 3))
        # of a shift by one unit, and of a scale by one unit, in the coordinates of the grid
        jacobian = torch.cat([slope_x * x, slope_y * y, slope_x.expand_as(warped), slope_y.expand_as(warped)], 1)
        jacobian = (jacobian * (side / 2))[inner].flatten(2)  # [B, 4, P]
        rest = (fixed - warped)[inner].flatten(2)  # [B, 1, P]
        normal = jacobian @ jacobian.transpose(1, 2) + 1e-2 * side * side * torch.eye(4)
        change = change + torch.linalg.solve(normal, jacobian @ rest.transpose(1, 2)).squeeze(2)
        change = change.clamp(-EDGE, EDGE)
    return best, change


def _detail(moving: torch.Tensor, fixed: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Correlation [B] of what a blur takes away from aligned images: outlines that many images share do not count."""
    side = moving.shape[-1]
    margin = round(side * EDGE / 2)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    sharp = [
        _standard((images - torch.nn.functional.avg_pool2d(images, BLUR, 1, BLUR // 2))[inner])
        for images in (_warp(moving, change), fixed)
    ]
    return (sharp[0] * sharp[1]).mean((1, 2, 3))


def _best(moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
    """Correlations [B, 2] after alignment, of the images and of their details.

    At half the size first; where that is promising, at full size. Details of the others are not looked at: 0.
    """
    half = torch.nn.functional.avg_pool2d
    unchanged = torch.zeros(len(moving), 4)
    best, change = _aligned(_standard(half(moving, 2)), _standard(half(fixed, 2)), unchanged)
    found = torch.stack([best, torch.zeros_like(best)], 1)
    hopeful = (best >= HOPEFUL).nonzero().squeeze(1)
    if len(hopeful):
        # what JPEG and resizing leave of sharp edges
        soft = [_standard(half(images[hopeful], 3, 1, 1, count_include_pad=False)) for images in (moving, fixed)]
        best, change = _aligned(*soft, change[hopeful])
        found[hopeful] = torch.stack([best, _detail(*soft, change)], 1)
    return found


def correlations(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Correlations of each pair after alignment, float32 [M, 2] in -1..1: of the images, and of their details."""
    found = np.empty((len(pairs), 2), np.float32)
    with torch.inference_mode():
        for start in tqdm(range(0, len(pairs), PAIRS), desc="align", unit="block", mininterval=1):
            block = pairs[start : start + PAIRS]
            one, other = (torch.from_numpy(thumbnails[block[:, side]]).float().unsqueeze(1) for side in (0, 1))
            found[start : start + len(block)] = _best(one, other).numpy()
    return found
