"""What an audit finds of planted faults: copies, altered copies, conflicting labels, shared patients, telling sizes.

    python benchmarks/planted.py ARCHIVE.zip ...

Images without natural near-duplicates are drawn from each archive and written into a folder under random classes, splits and
patients' names; each has one copy, altered in one way. `medgrid audit` then looks at the folder.
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
from PIL import ImageFilter

from medgrid.audit.folder import audit_folder
from medgrid.data.alignment import candidates, correlations, signatures
from medgrid.data.inventory import IMAGE_SUFFIXES, LITTER
from medgrid.data.tensors import to_8_bit
from medgrid.data.thumbnails import thumbnail

CLASSES, SPLITS = ("a", "b"), ("train", "test")
UNLIKE = (
    0.97,
    0.90,
)  # correlations of no two images drawn reach these: well below a near-duplicate, above most other pairs
GROUP = r"(p\d+)_"
Image, Rng = PIL.Image.Image, np.random.Generator


def _saved(image: Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _resized(image: Image, rng: Rng, low: float = 0.5, high: float = 1.5) -> Image:
    factor = rng.uniform(low, high)
    how = rng.choice([PIL.Image.Resampling.BILINEAR, PIL.Image.Resampling.LANCZOS])
    return image.resize((round(image.width * factor), round(image.height * factor)), PIL.Image.Resampling(how))


def _cropped(image: Image, rng: Rng) -> Image:
    left, top, right, bottom = rng.uniform(0, 0.03, 4)
    width, height = image.size
    return image.crop(tuple(map(round, (left * width, top * height, (1 - right) * width, (1 - bottom) * height))))


def _pointwise(image: Image, change: Callable[[np.ndarray], np.ndarray]) -> Image:
    return PIL.Image.fromarray(change(np.asarray(image).astype(np.float32)).clip(0, 255).astype(np.uint8))


def _brightened(image: Image, rng: Rng) -> Image:
    gain, more = rng.uniform(0.8, 1.2), rng.uniform(-15, 25)
    return _pointwise(image, lambda pixels: pixels * gain + more)


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


# what was looked at while thresholds were chosen, at other strengths
KNOWN = {
    "re-encoded (JPEG 40 to 90)": _jpeg,
    "resized (x 0.5 to 1.5)": lambda image, rng: _saved(_resized(image, rng), "PNG"),
    "cropped (to 3 % a side)": lambda image, rng: _saved(_cropped(image, rng), "PNG"),
    "brightness and contrast": lambda image, rng: _saved(_brightened(image, rng), "PNG"),
    "all of these": lambda image, rng: _jpeg(_brightened(_resized(_cropped(image, rng), rng), rng), rng),
}
# what was not
UNSEEN = {
    "re-encoded (WebP 40 to 90)": _webp,
    "gamma (0.75 to 1.33)": lambda image, rng: _saved(_gamma(image, rng), "PNG"),
    "squeezed to 224 x 224": lambda image, rng: _jpeg(image.resize((224, 224)), rng),
    "noise (2 to 5 grey levels)": lambda image, rng: _saved(_noisy(image, rng), "PNG"),
    "blurred (0.5 %)": lambda image, rng: _saved(image.filter(ImageFilter.GaussianBlur(image.width / 200)), "PNG"),
    "cropped, gamma, WebP": lambda image, rng: _webp(_gamma(_cropped(image, rng), rng), rng),
}
NEAR = KNOWN | UNSEEN
EXACT = ("same file", "same pixels")


def unlike(images: list[Image], most: int) -> list[int]:
    """Places of images of which no two come near to being near-duplicates."""
    small = np.stack([thumbnail(image) for image in images])
    pairs = candidates(signatures(small)).pairs
    pairs = pairs[(correlations(small, pairs) >= UNLIKE).all(1)]
    return sorted(set(range(len(images))) - set(pairs.ravel().tolist()))[:most]


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
        if number % 10 == 1:  # the one before is of the same patient
            patients[number] = patients[number - 1]
            drawn = SPLITS[SPLITS.index(split) ^ 1]
        split = drawn
        with PIL.Image.open(io.BytesIO(content)) as opened:
            opened.load()
            form, image = opened.format, opened.copy()
        if kind == "same file":
            copied, suffix = content, form
        elif kind == "same pixels":
            copied, suffix = _saved(image, "PNG", compress_level=1), "PNG"
        else:
            eight = to_8_bit(image, "grey" if image.mode in ("L", "I;16", "I") else "rgb")
            copied = NEAR[kind](eight, rng)
            with PIL.Image.open(io.BytesIO(copied)) as opened:
                suffix = opened.format
        conflict, across = rng.random() < 0.1, rng.random() < 0.5
        label_of = {False: label, True: CLASSES[CLASSES.index(label) ^ 1]}[conflict]
        split_of = {False: split, True: SPLITS[SPLITS.index(split) ^ 1]}[across]
        source = Path(split, label, f"p{patients[number]:05d}_{number:05d}.{form.lower()}")
        # a patient of its own: only the picture gives it away
        copy = Path(split_of, label_of, f"p{90000 + number}_{number:05d}copy.{suffix.lower()}")
        for path, bytes_ in ((source, content), (copy, copied)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(bytes_)
        rows.append((kind, str(copy), str(source), conflict, across))
    return pd.DataFrame(rows, columns=["kind", "copy", "source", "conflict", "across"])


def judge(planted: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Recall of each kind of copy, and precision of exact and near pairs; `pairs` as pairs.csv has them."""
    found = {
        kind: {frozenset(ends) for ends in rows[["first_path", "second_path"]].itertuples(index=False)}
        for kind, rows in pairs.groupby("kind")
    }
    exact = found.get("file", set()) | found.get("pixels", set())
    near = found.get("near_duplicate", set())
    ends = [frozenset(pair) for pair in zip(planted["copy"], planted["source"], strict=True)]
    hit = [
        pair in (exact if kind in EXACT else exact | near) for pair, kind in zip(ends, planted["kind"], strict=True)
    ]
    recall = planted.assign(found=hit).groupby("kind", sort=False)["found"].agg(["size", "sum"])
    right = set(ends)
    told = {"exact pairs": len(exact), "right exact pairs": len(exact & right)}
    return recall, told | {"near pairs": len(near), "right near pairs": len(near & right)}


def read(archive: str, most: int, seed: int) -> list[bytes]:
    """Up to `most` images of a zip, without natural near-duplicates, drawn at random."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if Path(name).suffix.lower() in IMAGE_SUFFIXES)
        names = [name for name in names if not LITTER.search(name)]
        order = np.random.default_rng(seed).permutation(len(names))[: 3 * most]
        contents = [opened.read(names[place]) for place in order]
    images = [PIL.Image.open(io.BytesIO(content)) for content in contents]
    return [contents[place] for place in unlike(images, most)]


def sizes(contents: list[bytes], folder: Path, seed: int, factor: float) -> None:
    """Images under random classes, those of one class larger by a factor."""
    rng = np.random.default_rng(seed)
    for number, content in enumerate(contents):
        label = rng.choice(CLASSES)
        image = to_8_bit(PIL.Image.open(io.BytesIO(content)), "grey").resize((128, 128))
        side = round(128 * (factor if label == CLASSES[1] else 1))
        (folder / label).mkdir(parents=True, exist_ok=True)
        image.resize((side, side)).save(folder / label / f"{number}.png")


def _nothing(*_) -> None:
    """In place of a page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+")
    parser.add_argument("--most", type=int, default=1300, help="images of each archive")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for archive in arguments.archives:
        contents = read(archive, arguments.most, arguments.seed)
        with tempfile.TemporaryDirectory() as scratch:
            planted = plant(contents, Path(scratch, "images"), arguments.seed)
            out = Path(scratch, "out")
            found = audit_folder(str(Path(scratch, "images")), out, GROUP, 0, _nothing)
            recall, precision = judge(planted, pd.read_csv(out / "pairs.csv", keep_default_na=False))
            print(f"\n{Path(archive).name}: {len(contents)} images, a copy of each")
            print("| planted | copies | found | % |\n|---|---:|---:|---:|")
            for group in (EXACT, tuple(KNOWN), tuple(UNSEEN)):
                for kind in group:
                    size, hits = recall.loc[kind]
                    print(f"| {kind} | {size} | {hits} | {100 * hits / size:.1f} |")
                size, hits = recall.loc[list(group)].sum()
                print(f"| **together** | {size} | {hits} | **{100 * hits / size:.1f}** |")
            print(precision)
            print(f"label conflicts: planted {planted['conflict'].sum()}, told {found['near']['conflicting']}")
            print(f"across splits: planted {planted['across'].sum()}, told {found['near']['across_splits']}")
            shared = sum(number % 10 == 1 for number in range(len(contents)))
            print(f"patients on both sides: planted {shared}, told {found['groups']['across_splits']}")
            for factor in (1.0, 1.02, 1.2):
                sizes(contents[:400], Path(scratch, f"sizes{factor}"), arguments.seed, factor)
                told = audit_folder(str(Path(scratch, f"sizes{factor}")), out, "", 0, _nothing)["shortcuts"]
                print(f"one class larger x {factor}: width and height tell it with {told['width and height']:.3f}")


if __name__ == "__main__":
    main()
