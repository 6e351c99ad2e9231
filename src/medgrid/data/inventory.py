"""What is in an archive: one row per image, with everything that later steps or a sceptic may ask."""

import csv
import hashlib
import io
import os
import re
import sys
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.data.archive import open_in_worker, read_in_worker
from medgrid.errors import MedgridError
from medgrid.files import replacing

COLUMNS = (
    "path", "label", "original_split", "group", "bytes", "format", "mode", "width", "height",
    "pixels_sha256", "error",
)  # fmt: skip
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
# what archivers leave behind: never an image, whatever its name
LITTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._|Thumbs\.db$)")


def _describe(path: str) -> dict:
    row = dict.fromkeys(COLUMNS, "") | {"path": path}
    try:
        content = read_in_worker(path)
        row["bytes"] = len(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(content)) as image:
                row |= {
                    "format": image.format,
                    "mode": image.mode,
                    "width": image.width,
                    "height": image.height,
                }
                # a palette image's pixels are colours, not places in its palette
                pixels = np.asarray(image.convert("RGBA") if image.mode in ("P", "PA") else image)
        # mode and shape belong to the pixels: the same bytes may be another picture
        digest = hashlib.sha256(f"{row['mode']} {pixels.shape} ".encode())
        digest.update(np.ascontiguousarray(pixels))
        row["pixels_sha256"] = digest.hexdigest()
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
    return row


def write_inventory(settings: dict, archive: str, target: str, threads: int = 0) -> None:
    """List every image of `archive` in the CSV `target`, in order of path.

    Columns: path, label, original_split (the archive's own, may be empty), group (patient or series, may be
    empty), bytes, format (by content, not by name), mode, width, height (pixels), pixels_sha256 (of the decoded
    pixels), error (why a file does not decode, else empty).

    Raises MedgridError when no image matches, a label is unknown or missing, or more than
    `settings["max_undecodable"]` (share) of the images do not decode.
    """
    pattern = re.compile(settings["images"])
    group = re.compile(settings["group"]) if settings["group"] else None
    with zipfile.ZipFile(archive) as opened:
        paths = sorted(info.filename for info in opened.infolist() if not info.is_dir())
    paths = [path for path in paths if not LITTER.search(path)]
    matches = {path: match for path in paths if (match := pattern.search(path))}
    where = f"datasets.{settings['dataset']}"
    if not matches:
        example = f", for instance {paths[0]}" if paths else ""
        raise MedgridError(f"{where}.images matches none of the {len(paths)} files of the archive{example}")
    _check_labels({match["label"] for match in matches.values()}, settings["classes"], where)
    other = [path for path in paths if path not in matches and Path(path).suffix.lower() in IMAGE_SUFFIXES]
    if other:
        print(
            f"medgrid: {len(other)} images match no label and are left out, such as {other[0]}",
            file=sys.stderr,
        )

    workers = threads or len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, initializer=open_in_worker, initargs=(archive,)) as pool:
        described = pool.map(_describe, matches, chunksize=32)
        rows = list(tqdm(described, total=len(matches), desc="inventory", unit="image", mininterval=1))
    for row in rows:
        match = matches[row["path"]]
        row["label"] = match["label"]
        row["original_split"] = match.groupdict().get("split") or ""
        found = group.search(row["path"]) if group else None
        row["group"] = found["group"] if found else ""

    broken = [row for row in rows if row["error"]]
    for row in broken[:10]:
        print(f"medgrid: does not decode: {row['path']} ({row['error']})", file=sys.stderr)
    limit = settings["max_undecodable"]
    if len(broken) > limit * len(rows):
        rejected = Path(target).with_suffix(".rejected.csv")
        _write(rows, rejected)
        raise MedgridError(
            f"{len(broken)} of {len(rows)} images do not decode, more than {where}.max_undecodable = {limit:g} "
            f"allows; they are listed with their errors in {rejected}"
        )
    _write(rows, Path(target))


def _write(rows: list[dict], target: Path) -> None:
    with replacing(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _check_labels(found: set[str], declared: list[str], where: str) -> None:
    unknown, missing = sorted(found - set(declared)), sorted(set(declared) - found)
    if unknown:
        raise MedgridError(f"{where}.classes lacks {', '.join(unknown)}, which the archive has")
    if missing:
        raise MedgridError(f"{where}.classes names {', '.join(missing)}, of which the archive has no image")
