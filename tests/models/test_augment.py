"""What augmentation draws: ranges, rates, independence, and pixels that stay what they are."""

import math

import pytest
import torch

from medgrid.config import Augmentation
from medgrid.models.augment import augment

COUNT, SIZE = 4000, 41


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centre_of_mass(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets from the middle, [B] each: to the right and upwards."""
    place = torch.arange(SIZE) - (SIZE - 1) / 2
    mass = pixels[:, 0] / pixels[:, 0].sum((1, 2), keepdim=True)
    return (mass.sum(1) * place).sum(1), -(mass.sum(2) * place).sum(1)


def spot(right: int, up: int) -> torch.Tensor:
    """COUNT images, black but for a blob off the middle."""
    images = torch.zeros(COUNT, SIZE, SIZE, 1, dtype=torch.uint8)
    x, y = SIZE // 2 + right, SIZE // 2 - up
    images[:, y - 2 : y + 3, x - 2 : x + 3] = 200
    return images


def test_angles_fill_their_range_evenly():
    x, y = centre_of_mass(augment(spot(12, 0), Augmentation(rotation=15), chance()))
    angles = torch.atan2(y, x).rad2deg()
    assert -15.2 < angles.min() < -14.5
    assert 14.5 < angles.max() < 15.2
    quarters = torch.histc(angles, 4, -15, 15) / COUNT
    assert (quarters - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / COUNT)
    assert (torch.hypot(x, y) - 12).abs().max() < 0.3  # rotation about the middle, no zoom


@pytest.mark.parametrize(("rotation", "rate"), [(0, 0.5), (0, 0.2), (10, 0.5)])
def test_flips_come_at_their_rate_and_independently(rotation, rate):
    settings = Augmentation(rotation=rotation, horizontal_flip=rate, vertical_flip=0.5)
    x, y = centre_of_mass(augment(spot(12, 8), settings, chance()))
    deviations = 4 * math.sqrt(0.25 / COUNT)
    across, down = x < 0, y < 0
    assert abs(across.float().mean() - rate) < deviations
    assert abs(down.float().mean() - 0.5) < deviations
    assert abs((across & down).float().mean() - rate * 0.5) < deviations


def test_zoom_and_brightness_keep_to_their_limits():
    x, _ = centre_of_mass(augment(spot(10, 0), Augmentation(zoom=0.2), chance()))
    assert 7.8 < x.min() < 8.3
    assert 11.7 < x.max() < 12.2
    grey = torch.full((COUNT, 4, 4, 1), 100, dtype=torch.uint8)
    bright = augment(grey, Augmentation(brightness=0.3), chance())[:, 0, 0, 0]
    assert 70 <= bright.min() < 71
    assert 129 < bright.max() <= 130
    assert abs(bright.mean() - 100) < 1
    assert augment(grey + 155, Augmentation(brightness=0.3), chance()).max() == 255


def test_flips_alone_move_pixels_and_change_none():
    images = torch.randint(0, 256, (200, 9, 9, 3), dtype=torch.uint8, generator=chance())
    made = augment(images, Augmentation(horizontal_flip=0.5), chance())
    plain = images.permute(0, 3, 1, 2).float()
    same, flipped = ((made == other).flatten(1).all(1) for other in (plain, plain.flip(3)))
    assert (same | flipped).all()
    assert same.any() and flipped.any()


def test_the_same_seed_draws_the_same_and_switching_one_off_moves_no_other():
    images = spot(12, 0)[:64]
    both = Augmentation(rotation=15, brightness=0.2)
    assert torch.equal(augment(images, both, chance()), augment(images, both, chance()))
    assert not torch.equal(augment(images, both, chance()), augment(images, both, chance(1)))
    turned = centre_of_mass(augment(images, Augmentation(rotation=15), chance()))
    assert torch.allclose(centre_of_mass(augment(images, both, chance()))[1], turned[1], atol=1e-3)


def test_uncovered_ground_is_the_border_s():
    images = torch.full((16, SIZE, SIZE, 1), 90, dtype=torch.uint8)
    made = augment(images, Augmentation(rotation=45, zoom=0.5), chance())
    assert (made - 90).abs().max() < 1e-3
