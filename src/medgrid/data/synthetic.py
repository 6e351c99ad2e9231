"""Procedural phantoms instead of scans: for demonstrations and tests, without patients or downloads.

A subject is a head: an ellipse of skull, textured tissue, two ventricles. Its class determines the lesion (one class
in four has none, the others differ in position, size and brightness) and the brightness of the tissue. Images of one
subject share the anatomy and differ in shift, noise and gain. Some files are exact copies of others, also across the
archive's original splits, as in real collections. Each subject has a tint, which does not depend on its class.
"""

import csv
import hashlib
import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import PIL.Image
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from tqdm import tqdm

from medgrid.config import LabelTable, Synthetic
from medgrid.utils.errors import MedgridError

QUALITY = 90  # of JPEG files
# PIL's mode and format of each kind of file
FORMATS = {
    "grey": ("L", "JPEG"),
    "jpeg": ("RGB", "JPEG"),
    "png": ("RGB", "PNG"),
    "rgba": ("RGBA", "PNG"),
    "palette": ("P", "PNG"),
    "tiff": ("RGB", "TIFF"),
}
# of each class in turn: distance of the lesion from the centre, its radius (both in half widths of the head), its
# brightness above tissue (0: no lesion), and the brightness of the tissue. Networks with random weights need the
# last: their features depend on brightness, but hardly on position
CLASSES = (
    (0.45, 0.30, 0.45, 0.25),
    (0.78, 0.22, 0.30, 0.35),
    (0.0, 0.1, 0.0, 0.45),
    (0.10, 0.15, 0.60, 0.55),
)


def draw_head(rng: np.random.Generator, size: int, kind: int) -> np.ndarray:
    """One subject's anatomy, float [size, size], about 0..1; `kind`: the class, an index into CLASSES."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    width, height = rng.uniform(0.62, 0.75), rng.uniform(0.78, 0.9)
    radius = np.hypot(x / width, y / height)
    distance, extent, brightness, tissue = CLASSES[kind % len(CLASSES)]
    texture = gaussian_filter(rng.standard_normal((size, size)), size / 16)
    texture /= texture.std()
    image = np.where(radius < 1, tissue + 0.08 * texture, 0.0)
    image = np.where(np.abs(radius - 1) < 0.06, 0.8, image)
    for side in (-1, 1):  # ventricles
        image[np.hypot((x - side * 0.15) / 0.08, (y + rng.uniform(0, 0.1)) / 0.25) < 1] = 0.1
    angle = rng.uniform(0, 2 * np.pi)
    off_x, off_y = x - distance * width * np.cos(angle), y - distance * height * np.sin(angle)
    edge = np.hypot(off_x, off_y) / (extent * rng.uniform(0.7, 1.3)) + rng.uniform(0.05, 0.15) * texture
    return image + brightness * rng.uniform(0.6, 1.2) * expit(12 * (1 - edge))


class _File(NamedTuple):
    label: str
    subject: str
    id: str
    content: bytes


def _encoded(image: np.ndarray, tint: np.ndarray, kind: str) -> tuple[str, bytes]:
    """Id (sha1 of the decoded RGB pixels, uint8 [height, width, 3]) and bytes of one image, float [size, size]."""
    mode, form = FORMATS[kind]
    values = image if mode == "L" else image[..., None] * tint
    pixels = PIL.Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    pixels = pixels.quantize() if mode == "P" else pixels.convert(mode)
    buffer = io.BytesIO()
    pixels.save(buffer, form, **({"quality": QUALITY} if form == "JPEG" else {}))
    with PIL.Image.open(buffer) as decoded:
        return _sha1(np.asarray(decoded.convert("RGB")).tobytes()), buffer.getvalue()


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _phantoms(
    settings: Synthetic, classes: list[str], count: int, seed: int | list[int]
) -> tuple[list[_File], np.random.Generator]:
    """`count` images of subjects whose classes take turns, and the random generator after them."""
    rng = np.random.default_rng(seed)
    # a stream for tints, so that the anatomy is the same in every format
    tints = np.random.default_rng([*np.atleast_1d(seed), 2])
    files = []
    anatomy = tint = np.empty(0)  # replaced with each subject
    for i in tqdm(range(count), desc="synthetic", unit="image", mininterval=1, disable=not count):
        subject, slice_ = divmod(i, settings.per_subject)
        kind = subject % len(classes)
        if slice_ == 0:
            anatomy = draw_head(rng, settings.size, kind)
            tint = tints.uniform(0.8, 1.0, 3)
        image = np.roll(anatomy, rng.integers(-2, 3, 2), (0, 1)) * rng.uniform(0.9, 1.1)
        image += rng.normal(0, 0.04, image.shape)
        encoded = _encoded(image, tint, settings.formats[i % len(settings.formats)])
        files.append(_File(classes[kind], f"{subject:04d}", *encoded))
    return files, rng


def _table(labels: LabelTable, rows: list[tuple[str, str]]) -> bytes:
    """The CSV of labels: an id (file name without suffix) and a value for each image."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([labels.id, labels.label])
    writer.writerows((PurePosixPath(path).stem, value) for path, value in rows)
    return text.getvalue().encode()


def generate(settings: Synthetic, classes: list[str], target: Path, labels: LabelTable | None = None) -> None:
    """Write a zip of `settings.images` phantoms, `size` x `size` pixels, classes in equal shares.

    On request it also has unlabelled images, files as archivers add them (`litter`) and, with `labels`, the table of
    classes (ids are file names without suffix) and a sample submission.

    In templates, {subject} is four digits and {id} the sha1 of the decoded RGB pixels (of the bytes, if damaged).
    Raises MedgridError when a class has no template, or templates give two images the same path.
    """
    files, rng = _labelled_files(settings, classes)
    members = _Members()
    names, shares = list(settings.splits), list(settings.splits.values())
    values = {label: value for value, label in labels.values.items()} if labels else {}
    rows = []
    for n, file in enumerate(files):
        split = str(rng.choice(names, p=shares))
        path = _template(settings, file.label).format(
            split=split, label=file.label, subject=file.subject, n=n, id=file.id
        )
        members.add(path, file.content)
        rows.append((path, values.get(file.label, file.label)))
    # a separate seed: the number of unlabelled images does not change the others
    unlabelled, _ = _phantoms(settings, classes, settings.unlabelled, [settings.seed, 1])
    unlabelled_paths = [settings.unlabelled_template.format(n=n, id=file.id) for n, file in enumerate(unlabelled)]
    for path, file in zip(unlabelled_paths, unlabelled, strict=True):
        members.add(path, file.content)
    if labels:
        _add_tables(members, labels, rows, unlabelled_paths)
    if settings.litter:
        first = PurePosixPath(rows[0][0])
        members.add(str(first.parent / ".DS_Store"), b"\0\0\0\1Bud1")
        members.add(str("__MACOSX" / first.parent / f"._{first.name}"), b"\0\5\x16\7")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, content in members.items():
            archive.writestr(zipfile.ZipInfo(path), content)


class _Members(dict[str, bytes]):
    """Content of the archive's files, by path."""

    def add(self, path: str, content: bytes) -> None:
        if path in self:
            raise MedgridError(
                f"synthetic: two images would have the path {path}; use {{n}} in its template, or set duplicates to 0"
            )
        self[path] = content


def _labelled_files(settings: Synthetic, classes: list[str]) -> tuple[list[_File], np.random.Generator]:
    """Phantoms, then copies of some, then damaged files; and the random generator after them."""
    copies = round(settings.images * settings.duplicates)
    originals = settings.images - copies - settings.undecodable
    files, rng = _phantoms(settings, classes, originals, settings.seed)
    for i in rng.choice(originals, copies, replace=False):
        # a copy has another subject's name, so that only its pixels identify it
        files.append(files[i]._replace(subject=f"{9000 + len(files):04d}"))
    for i in range(settings.undecodable):
        content = files[i].content[: len(files[i].content) // 3]
        files.append(_File(files[i].label, f"{9000 + len(files):04d}", _sha1(content), content))
    return files, rng


def _template(settings: Synthetic, label: str) -> str:
    template = settings.template if isinstance(settings.template, str) else settings.template.get(label)
    if template is None:
        raise MedgridError(f"synthetic.template has no entry for class {label}")
    return template


def _add_tables(members: _Members, labels: LabelTable, rows: list[tuple[str, str]], unlabelled: list[str]) -> None:
    """Add the CSV of labels, of paths and values, and a sample submission where there are unlabelled images."""
    members.add(labels.file, _table(labels, rows))
    if unlabelled:
        sample = str(PurePosixPath(labels.file).with_name("sample_submission.csv"))
        members.add(sample, _table(labels, [(path, rows[0][1]) for path in unlabelled]))
