"""Recall and precision of audits on planted faults: copies, altered copies, label conflicts, shared patients, sizes.

    python benchmarks/planted.py ARCHIVE.zip ...

Images without natural near-duplicates are drawn from each archive and written into a folder under random classes,
splits and patients' names; each has one copy, altered in one way. The folder is then audited.
"""

import argparse
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
from PIL import ImageFilter, ImageOps

from medgrid.audit.folder import audit_folder
from medgrid.data.inventory import IMAGE_SUFFIXES, LITTER
from medgrid.data.near_duplicates import align_candidates
from medgrid.data.tensors import to_8_bit
from medgrid.data.thumbnails import thumbnail

CLASSES, SPLITS = ("a", "b"), ("train", "test")
# correlations below those of all pairs of drawn images: well below near-duplicates, above most other pairs
DISSIMILAR = (0.97, 0.90)
GROUP = r"(p\d+)_"
Image, Rng = PIL.Image.Image, np.random.Generator


def _saved(image: Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _resized(image: Image, rng: Rng, low: float = 0.5, high: float = 1.5) -> Image:
    factor = rng.uniform(low, high)
    resampling = rng.choice([PIL.Image.Resampling.BILINEAR, PIL.Image.Resampling.LANCZOS])
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, PIL.Image.Resampling(resampling))


def _cropped(image: Image, rng: Rng) -> Image:
    left, top, right, bottom = rng.uniform(0, 0.03, 4)
    width, height = image.size
    return image.crop(tuple(map(round, (left * width, top * height, (1 - right) * width, (1 - bottom) * height))))


def _pointwise(image: Image, change: Callable[[np.ndarray], np.ndarray]) -> Image:
    return PIL.Image.fromarray(change(np.asarray(image).astype(np.float32)).clip(0, 255).astype(np.uint8))


def _turned(image: Image, rng: Rng) -> Image:
    return image.rotate(90 * int(rng.integers(1, 4)), expand=True)


def _brightened(image: Image, rng: Rng) -> Image:
    gain, offset = rng.uniform(0.8, 1.2), rng.uniform(-15, 25)
    return _pointwise(image, lambda pixels: pixels * gain + offset)


def _gamma(image: Image, rng: Rng) -> Image:
    power = rng.uniform(0.75, 1.33)
    return _pointwise(image, lambda pixels: 255 * (pixels / 255) ** power)


def _noisy(image: Image, rng: Rng) -> Image:
    sigma = rng.uniform(2, 5)
    return _pointwise(image, lambda pixels: pixels + rng.normal(0, sigma, pixels.shape))


def _jpeg(image: Image, rng: Rng) -> bytes:
    return _saved(image, "JPEG", quality=int(rng.integers(40, 91)))


def _webp(image: Image, rng: Rng) -> bytes:
    return _saved(image, "WEBP", quality=int(rng.integers(40, 91)))


# alterations that the thresholds were chosen with, at other strengths
KNOWN = {
    "re-encoded (JPEG 40 to 90)": _jpeg,
    "resized (x 0.5 to 1.5)": lambda image, rng: _saved(_resized(image, rng), "PNG"),
    "cropped (to 3 % a side)": lambda image, rng: _saved(_cropped(image, rng), "PNG"),
    "brightness and contrast": lambda image, rng: _saved(_brightened(image, rng), "PNG"),
    "all of these": lambda image, rng: _jpeg(_brightened(_resized(_cropped(image, rng), rng), rng), rng),
}
# other alterations
UNSEEN = {
    "re-encoded (WebP 40 to 90)": _webp,
    "gamma (0.75 to 1.33)": lambda image, rng: _saved(_gamma(image, rng), "PNG"),
    "squeezed to 224 x 224": lambda image, rng: _jpeg(image.resize((224, 224)), rng),
    "noise (2 to 5 grey levels)": lambda image, rng: _saved(_noisy(image, rng), "PNG"),
    "blurred (0.5 %)": lambda image, rng: _saved(image.filter(ImageFilter.GaussianBlur(image.width / 200)), "PNG"),
    "cropped, gamma, WebP": lambda image, rng: _webp(_gamma(_cropped(image, rng), rng), rng),
}
# other orientations
TURNED = {
    "mirrored, JPEG": lambda image, rng: _jpeg(ImageOps.mirror(image), rng),
    "quarter turns, JPEG": lambda image, rng: _jpeg(_turned(image, rng), rng),
    "mirrored, quarter turns, cropped, gamma, WebP": lambda image, rng: _webp(
        _gamma(_cropped(_turned(ImageOps.mirror(image), rng), rng), rng), rng
    ),
}
NEAR = KNOWN | UNSEEN | TURNED
EXACT = ("same file", "same pixels")


def dissimilar(images: list[Image], count: int) -> list[int]:
    """Indices of at most `count` images without a pair that reaches DISSIMILAR."""
    small = np.stack([thumbnail(image) for image in images])
    pairs, _ = align_candidates(small)
    similar = pairs[(pairs[["correlation", "detail"]].to_numpy() >= DISSIMILAR).all(1)]
    return sorted(set(range(len(images))) - set(similar["first"]) - set(similar["second"]))[:count]


def plant(contents: list[bytes], folder: Path, seed: int) -> pd.DataFrame:
    """Write images and one copy of each; returns a row for each copy: kind, path, its source's, conflict, across.

    Every tenth image shares its patient with the next one, on the other side of the split.
    """
    rng = np.random.default_rng(seed)
    kinds = [*EXACT, *NEAR]
    rows, patients, split = [], np.arange(len(contents)), SPLITS[0]
    for number, content in enumerate(contents):
        kind = kinds[number % len(kinds)]
        label, drawn = rng.choice(CLASSES), rng.choice(SPLITS)
        if number % 10 == 1:  # of the same patient as the one before
            patients[number] = patients[number - 1]
            drawn = _other(SPLITS, split)
        split = drawn
        copied, formats = _copy(content, kind, rng)
        conflict, across = rng.random() < 0.1, rng.random() < 0.5
        copy_label = _other(CLASSES, label) if conflict else label
        copy_split = _other(SPLITS, split) if across else split
        source = Path(split, label, f"p{patients[number]:05d}_{number:05d}.{formats[0].lower()}")
        # another patient, so that only the image content identifies the copy
        copy = Path(copy_split, copy_label, f"p{90000 + number}_{number:05d}copy.{formats[1].lower()}")
        for path, bytes_ in ((source, content), (copy, copied)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(bytes_)
        rows.append((kind, str(copy), str(source), conflict, across))
    return pd.DataFrame(rows, columns=["kind", "copy", "source", "conflict", "across"])


def _other(pair: tuple[str, str], value: str) -> str:
    return pair[pair.index(value) ^ 1]


def _copy(content: bytes, kind: str, rng: Rng) -> tuple[bytes, tuple[str, str]]:
    """A copy of a kind, and the formats of the image and of its copy."""
    with PIL.Image.open(io.BytesIO(content)) as opened:
        opened.load()
        file_format, image = opened.format, opened.copy()
    if kind == "same file":
        return content, (file_format, file_format)
    if kind == "same pixels":
        return _saved(image, "PNG", compress_level=1), (file_format, "PNG")
    copied = NEAR[kind](to_8_bit(image, "grey" if image.mode in ("L", "I;16", "I") else "rgb"), rng)
    with PIL.Image.open(io.BytesIO(copied)) as opened:
        return copied, (file_format, opened.format)


def judge(planted: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Recall by kind of copy (size, detected), and counts of exact and near pairs; `pairs`: as in pairs.csv."""
    by_kind = {
        kind: {frozenset(ends) for ends in rows[["first_path", "second_path"]].itertuples(index=False)}
        for kind, rows in pairs.groupby("kind")
    }
    exact = by_kind.get("file", set()) | by_kind.get("pixels", set())
    near = by_kind.get("near_duplicate", set())
    ends = [frozenset(pair) for pair in zip(planted["copy"], planted["source"], strict=True)]
    detected = [
        pair in (exact if kind in EXACT else exact | near) for pair, kind in zip(ends, planted["kind"], strict=True)
    ]
    by_copy = planted.assign(detected=detected).groupby("kind", sort=False)["detected"]
    counts = {
        "exact pairs": len(exact), "correct exact pairs": len(exact & set(ends)),
        "near pairs": len(near), "correct near pairs": len(near & set(ends)),
    }  # fmt: skip
    return by_copy.agg(size="size", detected="sum"), counts


def read(archive: str, count: int, seed: int) -> list[bytes]:
    """Up to `count` images of a zip, without natural near-duplicates, drawn at random."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if Path(name).suffix.lower() in IMAGE_SUFFIXES)
        names = [name for name in names if not LITTER.search(name)]
        order = np.random.default_rng(seed).permutation(len(names))[: 3 * count]
        contents = [opened.read(names[i]) for i in order]
    images = [PIL.Image.open(io.BytesIO(content)) for content in contents]
    return [contents[i] for i in dissimilar(images, count)]


def sizes(contents: list[bytes], folder: Path, seed: int, factor: float) -> None:
    """Images under random classes, those of one class larger by a factor."""
    rng = np.random.default_rng(seed)
    for number, content in enumerate(contents):
        label = rng.choice(CLASSES)
        image = to_8_bit(PIL.Image.open(io.BytesIO(content)), "grey").resize((128, 128))
        side = round(128 * (factor if label == CLASSES[1] else 1))
        (folder / label).mkdir(parents=True, exist_ok=True)
        image.resize((side, side)).save(folder / label / f"{number}.png")


def no_page(*_) -> None:
    """Instead of `write_audit_page`."""


def print_recall(recall: pd.DataFrame) -> None:
    """Print a Markdown table with a row for each kind of copy, and sums."""
    print("| planted | copies | detected | % |\n|---|---:|---:|---:|")
    for group in (EXACT, tuple(KNOWN), tuple(UNSEEN), tuple(TURNED)):
        for kind in group:
            size, hits = recall.loc[kind]
            print(f"| {kind} | {size} | {hits} | {100 * hits / size:.1f} |")
        size, hits = recall.loc[list(group)].sum()
        print(f"| **together** | {size} | {hits} | **{100 * hits / size:.1f}** |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+")
    parser.add_argument("--most", type=int, default=1300, help="images of each archive")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for archive in arguments.archives:
        contents = read(archive, arguments.most, arguments.seed)
        print(f"\n{Path(archive).name}: {len(contents)} images, a copy of each")
        with tempfile.TemporaryDirectory() as temporary:
            measure(contents, Path(temporary), arguments.seed)


def measure(contents: list[bytes], folder: Path, seed: int) -> None:
    """Plant faults below `folder`, audit them and print what was detected."""
    planted, out = plant(contents, folder / "images", seed), folder / "out"
    findings = audit_folder(str(folder / "images"), out, GROUP, 0, no_page)
    recall, counts = judge(planted, pd.read_csv(out / "pairs.csv", keep_default_na=False))
    print_recall(recall)
    print(counts)
    clusters = findings["near_duplicate"]
    print(f"label conflicts: planted {planted['conflict'].sum()}, detected {clusters['conflicting']}")
    print(f"across splits: planted {planted['across'].sum()}, detected {clusters['across_splits']}")
    shared = sum(number % 10 == 1 for number in range(len(contents)))
    print(f"patients in both splits: planted {shared}, detected {findings['groups']['across_splits']}")
    for factor in (1.0, 1.02, 1.2):
        sizes(contents[:400], folder / f"sizes{factor}", seed, factor)
        shortcuts = audit_folder(str(folder / f"sizes{factor}"), out, "", 0, no_page)["shortcuts"]
        print(f"one class larger x {factor}: balanced accuracy by size {shortcuts['width and height']:.3f}")


if __name__ == "__main__":
    main()
