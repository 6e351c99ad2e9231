"""Augmentation: ranges, rates, independent streams, and pixels that only move."""

import math

import pytest
import torch
from pydantic import Field

from medgrid.config import Augmentation
from medgrid.models import augment as module
from medgrid.models.augment import augment, augmentation_generators, pixelwise, resampling

COUNT, SIZE = 4000, 41
OPERATIONS = {"rotation": 15.0, "horizontal_flip": 0.5, "vertical_flip": 0.5, "zoom": 0.2, "brightness": 0.3}


def augmented(images: torch.Tensor, seed: int = 0, **operations) -> torch.Tensor:
    return augment(images, Augmentation(**operations), augmentation_generators(seed))


def centre_of_mass(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets from the middle, [B] each: to the right and upwards."""
    offsets = torch.arange(SIZE) - (SIZE - 1) / 2
    mass = pixels[:, 0] / pixels[:, 0].sum((1, 2), keepdim=True)
    return (mass.sum(1) * offsets).sum(1), -(mass.sum(2) * offsets).sum(1)


def spot(right: int, up: int) -> torch.Tensor:
    """COUNT black images with a bright square off the middle."""
    images = torch.zeros(COUNT, SIZE, SIZE, 1, dtype=torch.uint8)
    x, y = SIZE // 2 + right, SIZE // 2 - up
    images[:, y - 2 : y + 3, x - 2 : x + 3] = 200
    return images


def test_every_field_is_an_operation():
    assert set(Augmentation.model_fields) == {*module.RESAMPLING, *module.PIXELWISE} == set(OPERATIONS)


def test_angles_are_uniform_in_their_range():
    x, y = centre_of_mass(augmented(spot(12, 0), rotation=15))
    angles = torch.atan2(y, x).rad2deg()
    assert -15.2 < angles.min() < -14.5
    assert 14.5 < angles.max() < 15.2
    quarters = torch.histc(angles, 4, -15, 15) / COUNT
    assert (quarters - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / COUNT)
    assert (torch.hypot(x, y) - 12).abs().max() < 0.3  # rotation about the middle, no zoom


@pytest.mark.parametrize(("rotation", "rate"), [(0, 0.5), (0, 0.2), (10, 0.5)])
def test_flips_have_their_rate_and_are_independent(rotation, rate):
    x, y = centre_of_mass(augmented(spot(12, 8), rotation=rotation, horizontal_flip=rate, vertical_flip=0.5))
    deviations = 4 * math.sqrt(0.25 / COUNT)
    across, down = x < 0, y < 0
    assert abs(across.float().mean() - rate) < deviations
    assert abs(down.float().mean() - 0.5) < deviations
    assert abs((across & down).float().mean() - rate * 0.5) < deviations


def test_zoom_and_brightness_stay_within_their_limits():
    x, _ = centre_of_mass(augmented(spot(10, 0), zoom=0.2))
    assert 7.8 < x.min() < 8.3
    assert 11.7 < x.max() < 12.2
    grey = torch.full((COUNT, 4, 4, 1), 100, dtype=torch.uint8)
    bright = augmented(grey, brightness=0.3)[:, 0, 0, 0]
    assert 70 <= bright.min() < 71
    assert 129 < bright.max() <= 130
    assert abs(bright.mean() - 100) < 1
    assert augmented(grey + 155, brightness=0.3).max() == 255


def test_rotation_and_zoom_interpolate_once():
    """Together they are one affine map: a turned spot is at its place, as far from the middle as the zoom says."""
    x, y = centre_of_mass(augmented(spot(10, 0), rotation=15, zoom=0.2))
    alone = centre_of_mass(augmented(spot(10, 0), rotation=15))
    assert (torch.atan2(y, x) - torch.atan2(alone[1], alone[0])).abs().max() < 0.02
    zoomed, _ = centre_of_mass(augmented(spot(10, 0), zoom=0.2))
    assert (torch.hypot(x, y) - zoomed).abs().max() < 0.3


def test_flips_alone_do_not_interpolate():
    images = torch.randint(0, 256, (200, 9, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = augmented(images, horizontal_flip=0.5)
    original = images.permute(0, 3, 1, 2).float()
    same, flipped = ((pixels == other).flatten(1).all(1) for other in (original, original.flip(3)))
    assert (same | flipped).all()
    assert same.any()
    assert flipped.any()


def test_the_border_is_repeated():
    images = torch.full((16, SIZE, SIZE, 1), 90, dtype=torch.uint8)
    assert (augmented(images, rotation=45, zoom=0.5) - 90).abs().max() < 1e-3


def test_the_seed_determines_the_changes():
    images = spot(12, 0)[:64]
    assert torch.equal(augmented(images, **OPERATIONS), augmented(images, **OPERATIONS))
    assert not torch.equal(augmented(images, **OPERATIONS), augmented(images, seed=1, **OPERATIONS))


def test_streams_continue_from_batch_to_batch():
    generators, images = augmentation_generators(0), spot(12, 0)[:64]
    first, second = (augment(images, Augmentation(**OPERATIONS), generators) for _ in range(2))
    assert not torch.equal(first, second)


def states(generators: dict[str, torch.Generator]) -> dict[str, list[int]]:
    return {name: generator.get_state().tolist() for name, generator in generators.items()}


def test_turning_an_operation_off_changes_no_other():
    images = spot(12, 0)[:64]
    turned = centre_of_mass(augmented(images, rotation=15))
    both = centre_of_mass(augmented(images, rotation=15, brightness=0.2))
    assert torch.allclose(both[1], turned[1], atol=1e-3)
    generators = augmentation_generators(0)
    before = states(generators)
    augment(images, Augmentation(rotation=15), generators)
    after = states(generators)
    assert {name for name in before if before[name] != after[name]} == {"augmentation.rotation"}


@pytest.mark.parametrize("kind", ["first", "last"])
def test_adding_an_operation_changes_no_other(kind, monkeypatch):
    """An operation is a field and a function, wherever it stands."""
    images = spot(12, 3)[:256]
    before, drawn = augmented(images, **OPERATIONS), states(augmentation_generators(0))
    monkeypatch.setattr(module, "RESAMPLING", dict(module.RESAMPLING))
    monkeypatch.setattr(module, "PIXELWISE", dict(module.PIXELWISE))

    class WithMore(Augmentation):
        shear: float = Field(0.0)
        noise: float = Field(0.0)

    @resampling
    def shear(count, share, generator):
        matrices = torch.eye(2).repeat(count, 1, 1)
        matrices[:, 0, 1] = torch.rand(count, generator=generator) * share
        return matrices

    @pixelwise
    def noise(pixels, deviation, generator):
        return pixels + deviation * torch.randn(pixels.shape, generator=generator)

    if kind == "first":
        for table in (module.RESAMPLING, module.PIXELWISE):
            table |= {name: table.pop(name) for name in [*table][:-1]}
        assert next(iter(module.PIXELWISE)) == "noise"
    generators = augmentation_generators(0)
    assert {name: state for name, state in states(generators).items() if name in drawn} == drawn
    assert torch.equal(augment(images, WithMore(**OPERATIONS), generators), before)
    changed = augment(images, WithMore(**OPERATIONS, shear=0.5, noise=5.0), augmentation_generators(0))
    assert not torch.equal(changed, before)
    afterwards = []
    for more in ({}, {"shear": 0.5, "noise": 5.0}):
        generators = augmentation_generators(0)
        augment(images, WithMore(**OPERATIONS, **more), generators)
        afterwards.append({name: state for name, state in states(generators).items() if name in drawn})
    assert afterwards[0] == afterwards[1]
