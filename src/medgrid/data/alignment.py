"""Correlation of pairs of thumbnails after alignment: high for near-duplicates, images that differ only in
encoding, size, a small crop or brightness."""

import numpy as np
import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample
from tqdm import tqdm

BLOCK = 4096  # thumbnails prepared at a time
PAIRS_PER_BATCH = 256  # they fit into a processor's cache
# thumbnails are aligned at a quarter of their size, at half, and at full size. By reduction factor:
ITERATIONS = {4: 5, 2: 3, 1: 1}
MIN_CORRELATION = {4: 0.85, 2: 0.94}  # of pairs that go on to the next size
BLUR = 9  # px of a thumbnail; details are what this box blur removes
MAX_CHANGE = 0.12  # of scale, and of shift in half sides; also the share of the side that correlations leave out


def correlations(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Correlations in -1..1 after alignment, float32 [M, 2]: of the images, and of their details.

    `thumbnails`: uint8 [N, H, W]; `pairs`: their indices, int [M, 2]. Details are 0 for pairs that correlate less
    than MIN_CORRELATION at a reduced size.
    """
    values = np.empty((len(pairs), 2), np.float32)
    if not len(pairs):
        return values
    used, indices = np.unique(pairs, return_inverse=True)
    indices = torch.from_numpy(indices.reshape(-1, 2))
    with torch.inference_mode():
        pyramid = _pyramid(thumbnails[used])
        for start in tqdm(range(0, len(pairs), PAIRS_PER_BATCH), desc="align", unit="block", mininterval=1):
            batch = indices[start : start + PAIRS_PER_BATCH]
            values[start : start + len(batch)] = _correlate(pyramid, batch[:, 0], batch[:, 1]).numpy()
    return values


def _pyramid(thumbnails: np.ndarray) -> dict[int, torch.Tensor]:
    """Thumbnails by reduction factor, standardised, float16 [N, 1, H, W]; smoothed against JPEG artefacts."""
    levels: dict[int, list[torch.Tensor]] = {factor: [] for factor in ITERATIONS}
    for start in range(0, len(thumbnails), BLOCK):
        images = torch.from_numpy(thumbnails[start : start + BLOCK]).float().unsqueeze(1)
        for factor, blocks in levels.items():
            smooth = avg_pool2d(avg_pool2d(images, factor), 3, 1, 1, count_include_pad=False)
            blocks.append(_standardise(smooth).half())
    return {factor: torch.cat(blocks) for factor, blocks in levels.items()}


def _correlate(pyramid: dict[int, torch.Tensor], moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
    """Correlations [B, 2] of pairs after alignment, from coarse to fine; `moving`, `fixed` [B]: indices."""
    change = torch.tensor([1.0, 1, 0, 0]).expand(len(moving), 4)
    values = torch.zeros(len(moving), 2)
    remaining = torch.arange(len(moving))
    one = other = torch.empty(0)  # replaced at each level
    for factor, iterations in ITERATIONS.items():
        one, other = (pyramid[factor][images[remaining]].float() for images in (moving, fixed))
        correlation, change = _align(one, other, change, iterations)
        values[remaining, 0] = correlation
        promising = correlation >= MIN_CORRELATION.get(factor, -1)
        remaining, change = remaining[promising], change[promising]
        if not len(remaining):
            return values
    values[remaining, 1] = _detail_correlation(one, other, change)
    return values


def _align(
    moving: torch.Tensor, fixed: torch.Tensor, change: torch.Tensor, iterations: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Best correlation [B] of images [B, 1, H, W] over changes of scale and shift, and that change [B, 4].

    Gauss-Newton iterations from a first `change` (Lucas and Kanade 1981), with the gradients of the fixed image,
    which are computed once (Baker and Matthews 2004: inverse compositional).
    """
    centred = _crop(fixed) - _crop(fixed).mean((2, 3), keepdim=True)
    spread = _spread(centred)
    template = centred / (spread + 1e-3)
    solver = _gauss_newton_solver(fixed)
    best = torch.full((len(moving),), -1.0)
    best_change = change
    for iteration in range(iterations + 1):
        warped = _standardise(_crop(_warp(moving, change)))
        correlation = (warped * template).mean((1, 2, 3))
        better = correlation > best
        best = torch.where(better, correlation, best)
        best_change = torch.where(better[:, None], change, best_change)
        if iteration == iterations:
            break
        # in the brightness and contrast of the fixed image
        residual = (warped - template) * spread
        step = (solver @ residual.flatten(2).transpose(1, 2)).squeeze(2)
        scale = change[:, :2] / (1 + step[:, :2].clamp(-MAX_CHANGE, MAX_CHANGE))
        shift = change[:, 2:] - scale * step[:, 2:]
        change = torch.cat([scale.clamp(1 - MAX_CHANGE, 1 + MAX_CHANGE), shift.clamp(-MAX_CHANGE, MAX_CHANGE)], 1)
    return best, best_change


def _gauss_newton_solver(fixed: torch.Tensor) -> torch.Tensor:
    """Matrices [B, 4, P] that turn residuals [P] of cropped images into steps of scales and shifts."""
    side = fixed.shape[-1]
    coordinates = (torch.arange(side) + 0.5) * 2 / side - 1
    x, y = coordinates.view(1, 1, 1, -1), coordinates.view(1, 1, -1, 1)
    gradient_y, gradient_x = torch.gradient(fixed, dim=(2, 3))
    # derivatives by scale and by shift, in the coordinates of affine_grid (-1..1)
    derivatives = torch.cat([gradient_x * x, gradient_y * y, gradient_x, gradient_y], 1)
    derivatives = (_crop(derivatives) * (side / 2)).flatten(2)  # [B, 4, P]
    normal = derivatives @ derivatives.transpose(1, 2) + 1e-2 * side * side * torch.eye(4)
    return torch.linalg.solve(normal, derivatives)


def _detail_correlation(moving: torch.Tensor, fixed: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Correlation [B] of the details of aligned images: outlines that many images share do not count."""
    one, other = (_standardise(_details(images)) for images in (_warp(moving, change), fixed))
    return (one * other).mean((1, 2, 3))


def _details(images: torch.Tensor) -> torch.Tensor:
    """Images [B, 1, H, W] less their box blur, without the margin; the blur is by sums along rows and columns."""
    blurred = images
    for axis in (2, 3):
        sums = blurred.cumsum(axis)
        first = sums.narrow(axis, BLUR - 1, 1)
        size = sums.shape[axis] - BLUR
        blurred = torch.cat([first, sums.narrow(axis, BLUR, size) - sums.narrow(axis, 0, size)], axis)
    margin = BLUR // 2
    return images[..., margin:-margin, margin:-margin] - blurred / BLUR**2


def _warp(images: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Images [B, 1, H, W], scaled and shifted; `change` [B, 4]: scales, then shifts in half sides, of x and y."""
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = change[:, 0], change[:, 1], change[:, 2:]
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def _crop(images: torch.Tensor) -> torch.Tensor:
    """Images without the margin that a shift may move out of them."""
    margin = round(images.shape[-1] * MAX_CHANGE / 2)
    return images[..., margin:-margin, margin:-margin]


def _standardise(images: torch.Tensor) -> torch.Tensor:
    images = images - images.mean((2, 3), keepdim=True)
    return images / (_spread(images) + 1e-3)


def _spread(centred: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each centred image, in a third of the time of torch.std."""
    return (centred * centred).mean((2, 3), keepdim=True).sqrt()
