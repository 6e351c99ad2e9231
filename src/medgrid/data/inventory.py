"""The inventory of an archive: one row per image, with labels, groups, format, size and a digest of the pixels."""

import csv
import hashlib
import io
import re
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from tqdm import tqdm

from medgrid.config import GroupTable, LabelTable
from medgrid.data import UNLABELLED
from medgrid.data.archive import read_in_worker, workers
from medgrid.data.label_table import read_group_table, read_label_table
from medgrid.data.tensors import to_8_bit
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

COLUMNS = (
    "path", "id", "label", "original_split", "group", "bytes", "format", "mode", "width", "height",
    "pixels_sha256", "id_matches", "error",
)  # fmt: skip
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
# files that operating systems and archivers add: never images, whatever their names
LITTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._|Thumbs\.db$)")


def write_inventory(settings: dict[str, Any], archive: str, target: str, threads: int = 0, groups: str = "") -> None:
    """List every image of `archive` in the CSV `target`, in order of path.

    Columns: path, id (group `id` of the patterns, may be empty), label (empty: without a label), original_split (the
    archive's own, may be empty; `unlabelled` without a label), group (patient or series, may be empty), bytes,
    format (from the content, not the name), mode, width, height (pixels), pixels_sha256 (of the decoded pixels),
    id_matches (whether the id is the digest of the RGB pixels: yes or no; empty without `settings["ids"]`), error
    (why a file does not decode, else empty).

    `groups`: path of the user's own table of groups, if `settings["group"]` has a digest.
    Raises MedgridError when no image matches, a label is unknown or missing, a table of labels or groups cannot be
    read or lacks an image, or more than `settings["max_undecodable"]` (share) of the images do not decode.
    """
    key = f"datasets.{settings['dataset']}"
    with zipfile.ZipFile(archive) as opened:
        paths = sorted(info.filename for info in opened.infolist() if not info.is_dir())
        labels = LabelTable.model_validate(settings["labels"]) if settings["labels"] else None
        table = read_label_table(opened, labels, f"{key}.labels") if labels else None
        group_of = None
        if isinstance(settings["group"], dict):
            group_of = read_group_table(opened, GroupTable.model_validate(settings["group"]), groups, f"{key}.group")
    selected = _select([path for path in paths if not LITTER.search(path)], settings, table, key)
    if group_of is not None:
        _add_groups(selected, group_of, settings, f"{key}.group")
    _check_labels({columns["label"] for columns in selected.values()} - {""}, settings["classes"], key)
    rows = []
    for row, digest in describe(archive, list(selected), settings["ids"], threads):
        row |= selected[row["path"]]
        if digest:
            row["id_matches"] = "yes" if row["id"] == digest else "no"
        rows.append(row)
    _report_changed_files(rows, settings["ids"])
    _check_undecodable(rows, settings["max_undecodable"], f"{key}.max_undecodable", Path(target))
    write_rows(rows, Path(target))


def write_rows(rows: list[dict], target: Path) -> None:
    """Write rows with COLUMNS as a CSV."""
    with atomic_write(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def describe(archive: str, paths: list[str], ids: str | None = None, threads: int = 0) -> list[tuple[dict, str]]:
    """The row of each image, with the columns that its content determines, and a digest of its RGB pixels.

    `ids`: name of the digest in hashlib; None: the digests are empty.
    """
    with workers(archive, threads) as pool:
        rows = pool.map(partial(_describe_in_worker, ids=ids), paths, chunksize=32)
        return list(tqdm(rows, total=len(paths), desc="inventory", unit="image", mininterval=1))


def _describe_in_worker(path: str, ids: str | None) -> tuple[dict, str]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"path": path}
    rgb_digest = ""
    try:
        content = read_in_worker(path)
        row["bytes"] = len(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(content)) as image:
                row |= {"format": image.format, "mode": image.mode, "width": image.width, "height": image.height}
                to_8_bit(image)  # raises where later steps would
                row["pixels_sha256"] = _pixels_sha256(image, row["mode"])
                if ids:
                    rgb = np.asarray(image.convert("RGB"))
                    rgb_digest = hashlib.new(ids, rgb.tobytes(), usedforsecurity=False).hexdigest()
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
        row["pixels_sha256"] = ""
    return row, rgb_digest


def _pixels_sha256(image: PIL.Image.Image, mode: str) -> str:
    """Digest of an image's mode (before it was loaded), shape and pixels.

    Without mode and shape, different images could have the same bytes.
    """
    # colours, not indices into a palette
    pixels = np.asarray(image.convert("RGBA") if image.mode in ("P", "PA") else image)
    digest = hashlib.sha256(f"{mode} {pixels.shape} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _select(
    paths: list[str], settings: dict[str, Any], table: dict[str, str] | None, key: str
) -> dict[str, dict[str, str]]:
    """Columns id, label, original_split and group of each path that matches a pattern of the settings.

    `table`: class by id, if labels are in a table. `key`: of the data set, for messages.
    Raises MedgridError when no path matches or an image has no label.
    """
    images = re.compile(settings["images"])
    unlabelled, group = (
        re.compile(settings[name]) if isinstance(settings[name], str) else None for name in ("unlabelled", "group")
    )
    selected, without_label = {}, []
    for path in paths:
        if match := images.search(path):
            columns = _labelled_columns(match, table, key)
            if columns["label"] is None:
                without_label.append(path)
        elif unlabelled and (match := unlabelled.search(path)):
            columns = {"id": match["id"], "label": "", "original_split": UNLABELLED}
        else:
            continue
        group_match = group.search(path) if group else None
        selected[path] = columns | {"group": group_match["group"] if group_match else ""}
    if all(columns["label"] == "" for columns in selected.values()):
        example = f", for example {paths[0]}" if paths else ""
        raise MedgridError(f"{key}.images matches none of the {len(paths)} files of the archive{example}")
    if without_label:
        raise MedgridError(
            f"{key}.labels: {settings['labels']['file']} has no class for {len(without_label)} of the images, such "
            f"as {without_label[0]} (id '{selected[without_label[0]]['id']}'); if they should not be used, change "
            f"{key}.images so that it does not match them"
        )
    _report_unused(paths, selected, table, settings)
    return selected


def _add_groups(selected: dict[str, dict], groups: dict[str, str], settings: dict[str, Any], key: str) -> None:
    """Set column group of each path from a table; raise MedgridError unless it has all images with a label.

    `groups`: by id, or by path if the pattern `images` has no group `id`.
    """
    by_id = "id" in re.compile(settings["images"]).groupindex
    missing = []
    for path, columns in selected.items():
        columns["group"] = groups.get(columns["id"] if by_id else path, "")
        if columns["label"] and not columns["group"]:
            missing.append(path)
    if missing:
        what = f"id '{selected[missing[0]]['id']}'" if by_id else "by path"
        raise MedgridError(
            f"{key}: {settings['group']['file']} has no group for {len(missing)} of {len(selected)} images, such as "
            f"{missing[0]} ({what})"
        )


def _labelled_columns(match: re.Match, table: dict[str, str] | None, key: str) -> dict[str, Any]:
    """Columns id, label (None: not in the table) and original_split of a path that `images` matches."""
    groups = match.groupdict()
    image_id = groups.get("id") or ""
    label = groups["label"] if table is None else table.get(image_id)
    if table is None and not label:
        raise MedgridError(f"{key}.images: its group label is empty for {match.string}")
    return {"id": image_id, "label": label, "original_split": groups.get("split") or ""}


def _report_unused(paths: list[str], selected: dict, table: dict[str, str] | None, settings: dict[str, Any]) -> None:
    """Print ids of the table of labels without an image, and images without a matching pattern."""
    if table is not None and (ids := table.keys() - {columns["id"] for columns in selected.values()}):
        _warn(f"{len(ids)} ids of {settings['labels']['file']} have no image, such as {min(ids)}")
    unused = [path for path in paths if path not in selected and Path(path).suffix.lower() in IMAGE_SUFFIXES]
    if unused:
        _warn(f"{len(unused)} images match no pattern and are not used, such as {unused[0]}")


def _report_changed_files(rows: list[dict], ids: str) -> None:
    """Print images whose ids are not the digests of their pixels."""
    if changed := [row["path"] for row in rows if row["id_matches"] == "no"]:
        _warn(
            f"the ids of {len(changed)} of {len(rows)} images are not the {ids} of their pixels, such as "
            f"{changed[0]}: these are not the original files"
        )


def _check_undecodable(rows: list[dict], limit: float, key: str, target: Path) -> None:
    """Print images that do not decode; raise MedgridError if their share is above `limit`."""
    broken = [row for row in rows if row["error"]]
    for row in broken[:10]:
        _warn(f"cannot be decoded: {row['path']} ({row['error']})")
    if len(broken) > limit * len(rows):
        rejected = target.with_suffix(".rejected.csv")
        write_rows(rows, rejected)
        raise MedgridError(
            f"{len(broken)} of {len(rows)} images cannot be decoded, more than {key} = {limit:g} allows; they are "
            f"listed with their errors in {rejected}"
        )


def _check_labels(labels: set[str], declared: list[str], key: str) -> None:
    """Raise MedgridError unless the labels are those that `classes` declares."""
    unknown, missing = sorted(labels - set(declared)), sorted(set(declared) - labels)
    if unknown:
        raise MedgridError(f"{key}.classes does not contain {', '.join(unknown)}, but the archive does")
    if missing:
        raise MedgridError(f"{key}.classes contains {', '.join(missing)}, but the archive has no image of it")


def _warn(text: str) -> None:
    print(f"medgrid: {text}", file=sys.stderr)
