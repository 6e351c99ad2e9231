"""Random changes to a batch of images at once, on the device that trains."""

import math

import torch
import torch.nn.functional as F

from medgrid.config import Augmentation
from medgrid.models.networks import to_float


def augment(images: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """uint8 [B, H, W, C] to float [B, C, H, W] of 0..255, every image changed in its own way.

    Drawn on the CPU, so that every device sees the same changes: an angle, two flips, a zoom and a factor of
    brightness for each image, all of them always, so that switching one off does not move the others. Where rotation
    or zooming out uncovers ground, the border's pixels go on, as in Keras's generator (fill_mode nearest).
    """
    count = len(images)
    device = images.device

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1).mul_(limit)

    angle = uniform(math.radians(settings.rotation))
    zoom = 1 + uniform(settings.zoom)
    flip = [
        torch.rand(count, generator=generator) < rate for rate in (settings.horizontal_flip, settings.vertical_flip)
    ]
    brightness = 1 + uniform(settings.brightness)

    pixels = to_float(images)
    if settings.rotation or settings.zoom:
        across, down = (1 - 2 * each.float() for each in flip)
        cos, sin = angle.cos() / zoom, angle.sin() / zoom
        # where each output pixel comes from, in coordinates of -1..1: first the flip, then the rotation
        matrix = torch.stack(
            [torch.stack([cos * across, -sin * down], 1), torch.stack([sin * across, cos * down], 1)], 1
        )
        matrix = F.pad(matrix, (0, 1)).to(device)
        grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
        pixels = F.grid_sample(pixels, grid, "bilinear", "border", align_corners=False)
    else:
        for flipped, axis in zip(flip, (3, 2), strict=True):
            pixels = torch.where(flipped.to(device).view(-1, 1, 1, 1), pixels.flip(axis), pixels)
    if settings.brightness:
        pixels = (pixels * brightness.to(device).view(-1, 1, 1, 1)).clamp_(0, 255)
    return pixels
