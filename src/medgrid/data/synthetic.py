"""Procedural phantoms that stand in for scans: no patient, no download, something to learn.

A subject is a head: an ellipse of skull, tissue with smooth texture, two ventricles. Its class decides the
lesion: one class in four has none, the others differ in place, size and brightness. Images of one subject
share the anatomy and differ by slice, noise and gain. Some files are exact copies of others, also across the
archive's own splits, as in real collections.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from medgrid.config import Synthetic

QUALITY = 90
# per class, in turn: distance of the lesion from the centre, its radius (both in half-widths of the head),
# and its brightness above tissue; None: no lesion
LESIONS = ((0.45, 0.30, 0.45), (0.78, 0.22, 0.30), None, (0.10, 0.15, 0.60))


def _head(rng: np.random.Generator, size: int, lesion: tuple[float, float, float] | None) -> np.ndarray:
    """One subject's anatomy, float [size, size] in 0..1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    width, height = rng.uniform(0.62, 0.75), rng.uniform(0.78, 0.9)
    radius = np.hypot(x / width, y / height)
    texture = gaussian_filter(rng.standard_normal((size, size)), size / 16)
    image = np.where(radius < 1, 0.35 + 0.08 * texture / texture.std(), 0.0)
    image = np.where(np.abs(radius - 1) < 0.06, 0.8, image)
    for side in (-1, 1):
        image[np.hypot((x - side * 0.15) / 0.08, (y + rng.uniform(0, 0.1)) / 0.25) < 1] = 0.1
    if lesion is not None:
        distance, extent, brightness = lesion
        angle = rng.uniform(0, 2 * np.pi)
        extent *= rng.uniform(0.7, 1.3)
        there = np.hypot(
            x - distance * width * np.cos(angle), y - distance * height * np.sin(angle)
        ) / extent + rng.uniform(0.05, 0.15) * texture / texture.std()
        image += brightness * rng.uniform(0.6, 1.2) / (1 + np.exp(np.clip((there - 1) * 12, -50, 50)))
    return image


def _jpeg(image: np.ndarray) -> bytes:
    pixels = PIL.Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def generate(settings: Synthetic, classes: list[str], target: Path) -> None:
    """Write a zip of `settings.images` JPEG phantoms, `size` x `size` pixels, classes in equal shares."""
    rng = np.random.default_rng(settings.seed)
    copies = round(settings.images * settings.duplicates)
    originals = settings.images - copies - settings.undecodable
    names = list(settings.splits)
    shares = list(settings.splits.values())

    files: list[tuple[str, str, bytes]] = []  # label, subject, content
    for i in tqdm(range(originals), desc="synthetic", unit="image", mininterval=1):
        subject, slice_ = divmod(i, settings.per_subject)
        if slice_ == 0:
            kind = subject % len(classes)
            anatomy = _head(rng, settings.size, LESIONS[kind % len(LESIONS)])
        image = np.roll(anatomy, rng.integers(-2, 3, 2), (0, 1)) * rng.uniform(0.85, 1.15)
        image += rng.normal(0, 0.04, image.shape)
        files.append((classes[kind], f"s{subject:04d}", _jpeg(image)))
    for i in rng.choice(originals, copies, replace=False):
        label, _, content = files[i]
        # a copy under another subject's name: only its pixels give it away
        files.append((label, f"s{9000 + len(files):04d}", content))
    for i in range(settings.undecodable):
        label, _, content = files[i]
        files.append((label, f"s{9000 + len(files):04d}", content[: len(content) // 3]))

    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for n, (label, subject, content) in enumerate(files):
            split = str(rng.choice(names, p=shares))
            name = settings.template.format(split=split, label=label, subject=subject, n=n)
            archive.writestr(zipfile.ZipInfo(name), content)
