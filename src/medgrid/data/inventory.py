"""What is in an archive: one row per image, with everything that later steps or a sceptic may ask."""

import csv
import hashlib
import io
import re
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.config import LabelTable
from medgrid.data import UNLABELLED
from medgrid.data.archive import read_in_worker, workers
from medgrid.data.tensors import to_8_bit
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

COLUMNS = (
    "path", "id", "label", "original_split", "group", "bytes", "format", "mode", "width", "height",
    "pixels_sha256", "id_matches", "error",
)  # fmt: skip
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
# what archivers leave behind: never an image, whatever its name
LITTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._|Thumbs\.db$)")


def _describe(path: str, ids: str | None) -> tuple[dict, str]:
    """An image's row, and the digest (of the kind `ids`) of its decoded RGB pixels, if any."""
    row, made_from_pixels = dict.fromkeys(COLUMNS, "") | {"path": path}, ""
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
                to_8_bit(image)  # whatever comes behind reads it so
                # a palette image's pixels are colours, not places in its palette
                pixels = np.asarray(image.convert("RGBA") if image.mode in ("P", "PA") else image)
                if ids:
                    rgb = np.asarray(image.convert("RGB"))
                    made_from_pixels = hashlib.new(ids, rgb.tobytes(), usedforsecurity=False).hexdigest()
        # mode and shape belong to the pixels: the same bytes may be another picture
        digest = hashlib.sha256(f"{row['mode']} {pixels.shape} ".encode())
        digest.update(np.ascontiguousarray(pixels))
        row["pixels_sha256"] = digest.hexdigest()
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
    return row, made_from_pixels


def _read_table(archive: zipfile.ZipFile, labels: LabelTable, where: str) -> dict[str, str]:
    """Class of each id that the archive's own table names."""
    where = f"{where}.labels"
    if labels.file not in archive.namelist():
        held = (
            ", ".join(sorted(name for name in archive.namelist() if name.lower().endswith(".csv"))) or "no CSV at all"
        )
        raise MedgridError(f"{where}.file: the archive has no {labels.file} (it holds {held})")
    table: dict[str, str] = {}
    try:
        with io.TextIOWrapper(archive.open(labels.file), "utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            for key in ("id", "label"):
                if (column := getattr(labels, key)) not in (reader.fieldnames or ()):
                    columns = ", ".join(reader.fieldnames or ()) or "none"
                    raise MedgridError(
                        f"{where}.{key}: {labels.file} has no column {column} (its columns: {columns})"
                    )
            for row in reader:
                image_id, value = row[labels.id], row[labels.label]
                if not (image_id and value):  # a cell left empty says as much as no line
                    continue
                label = labels.values.get(value, value)
                if table.setdefault(image_id, label) != label:
                    raise MedgridError(
                        f"{where}: {labels.file} gives {image_id} two classes, {table[image_id]} and {label}"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise MedgridError(f"{where}.file: {labels.file} is not a CSV in UTF-8: {error}") from None
    return table


def _choose(paths: list[str], settings: dict, table: dict[str, str] | None, where: str) -> dict[str, dict]:
    """Columns that a path and the table of labels decide, for each image that the settings ask for."""
    pattern = re.compile(settings["images"])
    unlabelled = re.compile(settings["unlabelled"]) if settings["unlabelled"] else None
    group = re.compile(settings["group"]) if settings["group"] else None
    chosen, unnamed = {}, []
    for path in paths:
        if match := pattern.search(path):
            fields = match.groupdict()
            image_id = fields.get("id") or ""
            label = fields["label"] if table is None else table.get(image_id)
            if table is None and not label:
                raise MedgridError(f"{where}.images: its group label finds nothing in {path}")
            chosen[path] = {"id": image_id, "label": label, "original_split": fields.get("split") or ""}
            if label is None:
                unnamed.append(path)
        elif unlabelled and (match := unlabelled.search(path)):
            chosen[path] = {"id": match["id"], "label": "", "original_split": UNLABELLED}
        else:
            continue
        found = group.search(path) if group else None
        chosen[path]["group"] = found["group"] if found else ""

    if all(columns["label"] == "" for columns in chosen.values()):
        example = f", for instance {paths[0]}" if paths else ""
        raise MedgridError(f"{where}.images matches none of the {len(paths)} files of the archive{example}")
    if unnamed:
        raise MedgridError(
            f"{where}.labels: {settings['labels']['file']} has no class for {len(unnamed)} of the images, such as "
            f"{unnamed[0]} (id '{chosen[unnamed[0]]['id']}'); narrow {where}.images if they are not wanted"
        )
    if table is not None and (without := table.keys() - {columns["id"] for columns in chosen.values()}):
        _say(f"{len(without)} ids of {settings['labels']['file']} have no image, such as {min(without)}")
    other = [path for path in paths if path not in chosen and Path(path).suffix.lower() in IMAGE_SUFFIXES]
    if other:
        _say(f"{len(other)} images match no pattern and are left out, such as {other[0]}")
    return chosen


def describe(archive: str, paths: list[str], ids: str | None = None, threads: int = 0) -> list[tuple[dict, str]]:
    """Of each image its row, without what its path tells, and the digest (`ids`) of its RGB pixels, if any."""
    with workers(archive, threads) as pool:
        described = pool.map(partial(_describe, ids=ids), paths, chunksize=32)
        return list(tqdm(described, total=len(paths), desc="inventory", unit="image", mininterval=1))


def write_inventory(settings: dict, archive: str, target: str, threads: int = 0) -> None:
    """List every image of `archive` in the CSV `target`, in order of path.

    Columns: path, id (group `id` of the patterns, may be empty), label (empty: to predict only), original_split (the
    archive's own, may be empty; `unlabelled` where there is no label), group (patient or series, may be empty),
    bytes, format (by content, not by name), mode, width, height (pixels), pixels_sha256 (of the decoded pixels),
    id_matches (yes or no: whether the id is the digest of the RGB pixels; empty where `settings["ids"]` claims
    nothing), error (why a file does not decode, else empty).

    Raises MedgridError when no image matches, a label is unknown or missing, the table of labels cannot be read or
    lacks an image, or more than `settings["max_undecodable"]` (share) of the images do not decode.
    """
    where = f"datasets.{settings['dataset']}"
    with zipfile.ZipFile(archive) as opened:
        paths = sorted(info.filename for info in opened.infolist() if not info.is_dir())
        labels = LabelTable.model_validate(settings["labels"]) if settings["labels"] else None
        table = _read_table(opened, labels, where) if labels else None
    chosen = _choose([path for path in paths if not LITTER.search(path)], settings, table, where)
    _check_labels({columns["label"] for columns in chosen.values()} - {""}, settings["classes"], where)

    described = describe(archive, list(chosen), settings["ids"], threads)
    rows = [row | chosen[row["path"]] for row, _ in described]
    for row, (_, made_from_pixels) in zip(rows, described, strict=True):
        if made_from_pixels:
            row["id_matches"] = "yes" if row["id"] == made_from_pixels else "no"
    others = [row["path"] for row in rows if row["id_matches"] == "no"]
    if others:
        _say(
            f"the ids of {len(others)} of {len(rows)} images are not the {settings['ids']} of their pixels, such as "
            f"{others[0]}: these are not the original files"
        )

    broken = [row for row in rows if row["error"]]
    for row in broken[:10]:
        _say(f"does not decode: {row['path']} ({row['error']})")
    limit = settings["max_undecodable"]
    if len(broken) > limit * len(rows):
        rejected = Path(target).with_suffix(".rejected.csv")
        write_rows(rows, rejected)
        raise MedgridError(
            f"{len(broken)} of {len(rows)} images do not decode, more than {where}.max_undecodable = {limit:g} "
            f"allows; they are listed with their errors in {rejected}"
        )
    write_rows(rows, Path(target))


def _say(text: str) -> None:
    print(f"medgrid: {text}", file=sys.stderr)


def write_rows(rows: list[dict], target: Path) -> None:
    with atomic_write(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _check_labels(found: set[str], declared: list[str], where: str) -> None:
    unknown, missing = sorted(found - set(declared)), sorted(set(declared) - found)
    if unknown:
        raise MedgridError(f"{where}.classes lacks {', '.join(unknown)}, which the archive has")
    if missing:
        raise MedgridError(f"{where}.classes names {', '.join(missing)}, of which the archive has no image")
