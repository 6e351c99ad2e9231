"""Audit any folder or zip of images without settings: classes and splits come from the names of its folders."""

import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from medgrid.audit.findings import write_findings
from medgrid.data.archive import check_names, members
from medgrid.data.inventory import COLUMNS, IMAGE_SUFFIXES, LITTER, describe, write_rows
from medgrid.data.near_duplicates import write_near_duplicates
from medgrid.utils.errors import MedgridError

SPLIT = re.compile(r"(train|val|test)(ing|idation|id)?([ _-]?(set|data|images))?", re.IGNORECASE)
# conditions of --fail-on: what is counted, and its count in the findings
FAIL_ON: dict[str, tuple[str, Callable[[dict], int]]] = {
    "exact": ("images are copies of others", lambda findings: findings["pixels"]["surplus"]),
    "near": (
        "images are copies or near-duplicates of others",
        lambda findings: findings["near_duplicate"]["surplus"],
    ),
    "conflicts": (
        "clusters of near-duplicates have conflicting labels",
        lambda findings: findings["near_duplicate"]["conflicting"],
    ),
    "across-splits": (
        "clusters or groups are in several of the original splits",
        lambda findings: findings["near_duplicate"]["across_splits"] + findings["groups"]["across_splits"],
    ),
    "unreadable": ("images cannot be decoded", lambda findings: findings["unreadable"]),
}


def audit_folder(source: str, out: Path, group: str, threads: int, write_page: Callable[..., None]) -> dict[str, Any]:
    """Write audit.json, pairs.csv and (by `write_page`) index.html into `out`; returns the findings.

    `source`: a folder or zip; `group`: regular expression of the group (patient) in a path, or "".
    `write_page`: see `medgrid.report.site.audit.write_audit_page`.
    Raises MedgridError when there are fewer than two images, or results cannot be written.
    """
    _require_archive(source)
    audit, pairs, page = (out / name for name in ("audit.json", "pairs.csv", "index.html"))
    _require_writable(out, (audit, pairs, page))
    with tempfile.TemporaryDirectory() as temporary:
        inventory, near_duplicates, thumbnails = (
            str(Path(temporary, name)) for name in ("images.csv", "near_duplicates.csv", "thumbnails.npz")
        )
        _write_inventory(source, group, Path(inventory), threads)
        write_near_duplicates({}, source, inventory, near_duplicates, thumbnails, threads)
        name = Path(source).resolve().name
        settings = {"data": name, "license": "", "synthetic": False, "show_images": True, "series": None}
        write_findings(settings, inventory, near_duplicates, thumbnails, str(audit), str(pairs))
        write_page({}, str(audit), str(pairs), inventory, near_duplicates, thumbnails, str(page))
    return json.loads(audit.read_text(encoding="utf-8"))


def _require_archive(source: str) -> None:
    """Raise MedgridError unless `source` is a folder or zip."""
    if not Path(source).exists():
        raise MedgridError(f"{source} does not exist")
    if not Path(source).is_dir():
        try:
            zipfile.ZipFile(source).close()
        except zipfile.BadZipFile as error:
            raise MedgridError(f"{source} is neither a folder nor a zip: {error}") from None


def _require_writable(out: Path, files: Iterable[Path]) -> None:
    """Raise MedgridError, before the audit starts, if the results cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise MedgridError(f"--out {out}: {error.strerror}") from None
    if folder := next((file for file in files if file.is_dir()), None):
        raise MedgridError(f"--out {out}: {folder} is a folder; a file cannot replace it")


def _write_inventory(source: str, group: str, target: Path, threads: int) -> None:
    """Write the inventory of all images of `source` (see `write_inventory` in `medgrid.data.inventory`)."""
    try:
        pattern = re.compile(group) if group else None
    except re.error as error:
        raise MedgridError(f"--group is not a regular expression: {error}") from None
    paths = _image_paths(source)
    rows = []
    described = describe(source, paths, threads=threads)
    for (row, _), (label, split) in zip(described, classes_and_splits(paths), strict=True):
        match = pattern.search(row["path"]) if pattern else None
        name = match[match.lastindex or 0] if match else ""
        rows.append(dict.fromkeys(COLUMNS, "") | row | {"label": label, "original_split": split, "group": name})
    if pattern and not any(row["group"] for row in rows):
        print(f"medgrid: --group does not match any path, such as {rows[0]['path']}", file=sys.stderr)
    if sum(not row["error"] for row in rows) < 2:
        raise MedgridError(f"{source}: fewer than two of {len(rows)} images can be decoded ({rows[0]['error']})")
    write_rows(rows, target)


def _image_paths(source: str) -> list[str]:
    """Paths of the images in a folder or zip; raises MedgridError when there are fewer than two."""
    # a zip may contain a name twice; the later file is the one that is read
    paths = [
        path
        for path in dict.fromkeys(members(Path(source)))
        if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES and not LITTER.search(path)
    ]
    check_names(source, paths)
    for link in (path for path in Path(source).rglob("*") if path.is_symlink() and path.is_dir()):
        print(f"medgrid: {link} is a link to a folder and is not followed", file=sys.stderr)
    if len(paths) < 2:
        raise MedgridError(f"{source} contains {len(paths)} images; an audit needs at least two")
    return paths


def classes_and_splits(paths: list[str]) -> list[tuple[str, str]]:
    """Class and original split of each path, from the names of its folders; empty where there is none.

    The split is the first folder with the name of one. The class is the first of the other folders that differs
    between images.
    """
    folders_and_splits = []
    for path in paths:
        folders = list(PurePosixPath(path).parts[:-1])
        split = next((folder for folder in folders if SPLIT.fullmatch(folder)), "")
        if split:
            folders.remove(split)
        folders_and_splits.append((folders, split))
    first = folders_and_splits[0][0]
    shared = 0  # folders that all images have
    while len(first) > shared and len({tuple(folders[: shared + 1]) for folders, _ in folders_and_splits}) == 1:
        shared += 1
    return [(folders[shared] if len(folders) > shared else "", split) for folders, split in folders_and_splits]


def failures(findings: dict[str, Any], conditions: list[str]) -> list[str]:
    """Those of the `conditions` (names in FAIL_ON) that the findings meet, with their counts."""
    counts = {name: FAIL_ON[name][1](findings) for name in conditions}
    return [f"{count} {FAIL_ON[name][0]} ({name})" for name, count in counts.items() if count]


def print_summary(findings: dict[str, Any]) -> None:
    """Print the main findings to stderr."""
    near, pixels, accuracies = findings["near_duplicate"], findings["pixels"], findings["shortcuts"]
    lines = [
        f"{findings['images']} images, {len(findings['classes'])} classes; "
        f"{findings['unreadable']} cannot be decoded",
        f"{pixels['surplus']} images are copies of others, {near['surplus'] - pixels['surplus']} more are "
        "near-duplicates",
        f"of {near['clusters']} clusters of near-duplicates, {near['conflicting']} have conflicting labels and "
        f"{near['across_splits']} are in several of the original splits",
    ]
    if accuracies:
        best = max(accuracies, key=accuracies.get)
        lines.append(
            f"strongest shortcut: {best} predicts the class with a balanced accuracy of {accuracies[best]:.1%} "
            f"(chance: {findings['chance']:.1%})"
        )
    if order := findings["file_order"]:
        lines.append(
            f"file order: for {order['observed']:.1%} of images, the most similar image of the same class has a file "
            f"number at most {order['close']} positions away (in shuffled order: {order['shuffled']:.1%}; "
            f"p = {order['p']:.3f})"
        )
    for line in lines:
        print(f"medgrid: {line}", file=sys.stderr)
