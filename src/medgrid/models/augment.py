"""Random changes to a batch of images, computed for the whole batch at once on the device that trains.

An operation is a field of `medgrid.config.Augmentation` (0: off) and a function of the same name here, with one of
two decorators:

- `resampling`: (batch size, value of the field, generator) to matrices [B, 2, 2], which map the coordinates of an
  output pixel to those of its source. All matrices are multiplied, so that images are interpolated once.
- `pixelwise`: (images float [B, C, H, W] of 0..255, value of the field, generator) to images of that shape.

Each operation draws from a random stream of its own, seeded by its name: adding an operation, or turning one off,
does not change what the others draw. Streams are drawn on the CPU, so that all devices apply the same changes.
"""

import math
from collections.abc import Callable, Mapping
from functools import reduce

import torch
import torch.nn.functional as F

from medgrid.config import Augmentation
from medgrid.models.networks import to_float
from medgrid.models.random_streams import seeded_generator

Resampling = Callable[[int, float, torch.Generator], torch.Tensor]
Pixelwise = Callable[[torch.Tensor, float, torch.Generator], torch.Tensor]

# operations by name; within each table they are applied in the order in which they are defined
RESAMPLING: dict[str, Resampling] = {}
PIXELWISE: dict[str, Pixelwise] = {}


def resampling(function: Resampling) -> Resampling:
    RESAMPLING[function.__name__] = function
    return function


def pixelwise(function: Pixelwise) -> Pixelwise:
    PIXELWISE[function.__name__] = function
    return function


def stream_name(operation: str) -> str:
    return f"augmentation.{operation}"


def augmentation_generators(seed: int) -> dict[str, torch.Generator]:
    """A generator for each operation, by `stream_name`."""
    names = [stream_name(operation) for operation in (*RESAMPLING, *PIXELWISE)]
    return {name: seeded_generator(seed, name) for name in names}


def augment(images: torch.Tensor, settings: Augmentation, generators: Mapping[str, torch.Generator]) -> torch.Tensor:
    """uint8 images [B, H, W, C] to float32 [B, C, H, W] of 0..255, each image changed independently.

    `generators` are those of `augmentation_generators`. Where an operation uncovers area outside of the image, the
    border pixels are repeated, as by Keras's `fill_mode="nearest"`.
    """
    pixels = to_float(images)
    active = {name: value for name, value in settings if value}
    matrices = [
        operation(len(images), active[name], generators[stream_name(name)])
        for name, operation in RESAMPLING.items()
        if name in active
    ]
    if matrices:
        pixels = _resample(pixels, reduce(torch.matmul, matrices))
    for name, operation in PIXELWISE.items():
        if name in active:
            pixels = operation(pixels, active[name], generators[stream_name(name)])
    return pixels


def _resample(pixels: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Bilinear interpolation of [B, C, H, W]; matrices [B, 2, 2] act on coordinates of -1..1."""
    grid = F.affine_grid(F.pad(matrices, (0, 1)).to(pixels.device), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, "bilinear", "border", align_corners=False)


def _uniform(count: int, limit: float, generator: torch.Generator) -> torch.Tensor:
    """[count] numbers between -limit and limit."""
    return (torch.rand(count, generator=generator) * 2 - 1).mul_(limit)


def _flip(pixels: torch.Tensor, rate: float, generator: torch.Generator, axis: int) -> torch.Tensor:
    flipped = torch.rand(len(pixels), generator=generator) < rate
    return torch.where(flipped.to(pixels.device).view(-1, 1, 1, 1), pixels.flip(axis), pixels)


@resampling
def rotation(count: int, degrees: float, generator: torch.Generator) -> torch.Tensor:
    angle = _uniform(count, math.radians(degrees), generator)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)


@resampling
def zoom(count: int, share: float, generator: torch.Generator) -> torch.Tensor:
    factor = 1 + _uniform(count, share, generator)
    return torch.eye(2) / factor.view(-1, 1, 1)


@pixelwise
def horizontal_flip(pixels: torch.Tensor, rate: float, generator: torch.Generator) -> torch.Tensor:
    return _flip(pixels, rate, generator, axis=3)


@pixelwise
def vertical_flip(pixels: torch.Tensor, rate: float, generator: torch.Generator) -> torch.Tensor:
    return _flip(pixels, rate, generator, axis=2)


@pixelwise
def brightness(pixels: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    factor = 1 + _uniform(len(pixels), share, generator)
    return (pixels * factor.to(pixels.device).view(-1, 1, 1, 1)).clamp_(0, 255)
