"""Procedural phantoms that stand in for scans: no patient, no download, something to learn.

A subject is a head: an ellipse of skull, tissue with texture, two ventricles. Its class decides the lesion (one
class in four has none, the others differ in place, size and brightness) and how bright the tissue is. Images of one
subject share the anatomy and differ by slice, noise and gain. Some files are exact copies of others, also across the
archive's own splits, as in real collections.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from tqdm import tqdm

from medgrid.config import Synthetic

QUALITY = 90
# per class, in turn: distance of the lesion from the centre, its radius (both in half-widths of the head),
# its brightness above tissue (0: no lesion), and the brightness of the tissue. The last is there for networks with
# random weights, which see brightness but hardly see place
CLASSES = (
    (0.45, 0.30, 0.45, 0.25),
    (0.78, 0.22, 0.30, 0.35),
    (0.0, 0.1, 0.0, 0.45),
    (0.10, 0.15, 0.60, 0.55),
)


def _head(rng: np.random.Generator, size: int, kind: int) -> np.ndarray:
    """One subject's anatomy, float [size, size] in 0..1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    width, height = rng.uniform(0.62, 0.75), rng.uniform(0.78, 0.9)
    radius = np.hypot(x / width, y / height)
    distance, extent, brightness, tissue = CLASSES[kind % len(CLASSES)]
    texture = gaussian_filter(rng.standard_normal((size, size)), size / 16)
    texture /= texture.std()
    image = np.where(radius < 1, tissue + 0.08 * texture, 0.0)
    image = np.where(np.abs(radius - 1) < 0.06, 0.8, image)
    for side in (-1, 1):
        image[np.hypot((x - side * 0.15) / 0.08, (y + rng.uniform(0, 0.1)) / 0.25) < 1] = 0.1
    angle = rng.uniform(0, 2 * np.pi)
    off_x, off_y = x - distance * width * np.cos(angle), y - distance * height * np.sin(angle)
    edge = np.hypot(off_x, off_y) / (extent * rng.uniform(0.7, 1.3)) + rng.uniform(0.05, 0.15) * texture
    return image + brightness * rng.uniform(0.6, 1.2) * expit(12 * (1 - edge))


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
            anatomy = _head(rng, settings.size, kind)
        image = np.roll(anatomy, rng.integers(-2, 3, 2), (0, 1)) * rng.uniform(0.9, 1.1)
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
