"""Altered copies among images without near-duplicates are detected, and nothing else is."""

import io

import numpy as np
import PIL.Image
import pytest

from medgrid.data.alignment import correlations
from medgrid.data.candidates import find_candidates, spectra
from medgrid.data.clusters import NEAR_DUPLICATE_CORRELATIONS
from medgrid.data.synthetic import draw_head
from medgrid.data.thumbnails import SIZE, thumbnail

SUBJECTS, SIDE = 120, 160


def saved(image: PIL.Image.Image, quality: int) -> PIL.Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return PIL.Image.open(buffer)


def cropped(image: PIL.Image.Image, left: float, top: float, right: float, bottom: float) -> PIL.Image.Image:
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


def brightened(image: PIL.Image.Image, gain: float, offset: float) -> PIL.Image.Image:
    return PIL.Image.fromarray((np.asarray(image) * gain + offset).clip(0, 255).astype(np.uint8))


ALTERED = {
    "re-encoded": lambda image: saved(image, 45),
    "smaller": lambda image: image.resize((round(image.width * 0.6),) * 2),
    "larger": lambda image: image.resize((image.width * 2,) * 2),
    "cropped": lambda image: cropped(image, 0.02, 0.03, 0.03, 0.01),
    "brighter": lambda image: brightened(image, 1.0, 25),
    "all at once": lambda image: saved(brightened(cropped(image, 0.02, 0.0, 0.01, 0.02), 0.85, 10), 60),
}


@pytest.fixture(scope="module")
def heads() -> list[PIL.Image.Image]:
    """One image of each of many subjects, with independent noise."""
    rng = np.random.default_rng(7)
    images = [draw_head(rng, SIDE, subject) + rng.normal(0, 0.02, (SIDE, SIDE)) for subject in range(SUBJECTS)]
    return [PIL.Image.fromarray((image * 200).clip(0, 255).astype(np.uint8)) for image in images]


@pytest.mark.parametrize("kind", ALTERED)
def test_altered_copies_are_detected_and_nothing_else(heads, kind):
    altered = [ALTERED[kind](head) for head in heads[::4]]
    images = np.stack([thumbnail(image) for image in (*heads, *altered)])
    pairs = find_candidates(spectra(images)).pairs
    near_duplicates = pairs[(correlations(images, pairs) >= NEAR_DUPLICATE_CORRELATIONS).all(1)]
    planted = {(subject, SUBJECTS + i) for i, subject in enumerate(range(0, SUBJECTS, 4))}
    assert set(map(tuple, near_duplicates)) == planted


def test_a_cropped_copy_correlates_only_after_alignment(heads):
    images = np.stack([thumbnail(heads[0]), thumbnail(cropped(heads[0], 0.05, 0.0, 0.0, 0.05))])
    plain = np.corrcoef(images.reshape(2, -1))[0, 1]
    (aligned, detail), *_ = correlations(images, np.array([[0, 1]]))
    assert plain < 0.95 < NEAR_DUPLICATE_CORRELATIONS[0] < aligned
    assert detail > NEAR_DUPLICATE_CORRELATIONS[1]


def test_thumbnails_of_any_size_and_mode():
    for mode, size in (("L", (500, 300)), ("RGB", (20, 31)), ("RGBA", (64, 64)), ("I;16", (80, 80))):
        grey = thumbnail(PIL.Image.new(mode, size))
        assert grey.shape == (SIZE, SIZE)
        assert grey.dtype == np.uint8
