"""An audit of any folder or zip of images, without settings: classes and splits are read off its folders."""

import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from medgrid.audit.findings import write_findings
from medgrid.data.archive import check_names, members
from medgrid.data.inventory import COLUMNS, IMAGE_SUFFIXES, LITTER, describe, write_rows
from medgrid.data.near_duplicates import write_near_duplicates
from medgrid.utils.errors import MedgridError

SPLIT = re.compile(r"(train|val|test)(ing|idation|id)?([ _-]?(set|data|images))?", re.IGNORECASE)
# what may fail an audit, and how many of it there are
FAILINGS = {
    "exact": ("images are copies of others", lambda found: found["pixels"]["surplus"]),
    "near": ("images show the same picture as others", lambda found: found["near"]["surplus"]),
    "conflicts": ("pictures have several labels", lambda found: found["near"]["conflicting"]),
    "across-splits": (
        "pictures or groups lie in several of the original splits",
        lambda found: found["near"]["across_splits"] + found["groups"]["across_splits"],
    ),
    "unreadable": ("images do not decode", lambda found: found["unreadable"]),
}


def levels(paths: list[str]) -> list[tuple[str, str]]:
    """Class and original split of each path; empty where folders do not tell.

    The split is the first folder that is called like one. The class is the first of the other folders that is not the
    same for all images.
    """
    found = []
    for path in paths:
        folders = list(PurePosixPath(path).parts[:-1])
        split = next((folder for folder in folders if SPLIT.fullmatch(folder)), "")
        if split:
            folders.remove(split)
        found.append((folders, split))
    shared = 0
    while len({tuple(folders[: shared + 1]) for folders, _ in found}) == 1 and len(found[0][0]) > shared:
        shared += 1
    return [(folders[shared] if len(folders) > shared else "", split) for folders, split in found]


def _inventory(source: str, group: str, target: Path, threads: int) -> None:
    try:
        pattern = re.compile(group) if group else None
    except re.error as error:
        raise MedgridError(f"--group is no regular expression: {error}") from None
    # a zip may hold one name twice; the later one is what is read
    paths = [
        path
        for path in dict.fromkeys(members(Path(source)))
        if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES and not LITTER.search(path)
    ]
    check_names(source, paths)
    for link in (each for each in Path(source).rglob("*") if each.is_symlink() and each.is_dir()):
        print(f"medgrid: {link} is a link to a folder, which is not followed", file=sys.stderr)
    if len(paths) < 2:
        raise MedgridError(f"{source} holds {len(paths)} images; an audit compares two and more")
    rows = []
    for (row, _), (label, split) in zip(describe(source, paths, threads=threads), levels(paths), strict=True):
        found = pattern.search(row["path"]) if pattern else None
        name = found[found.lastindex or 0] if found else ""
        rows.append(dict.fromkeys(COLUMNS, "") | row | {"label": label, "original_split": split, "group": name})
    if pattern and not any(row["group"] for row in rows):
        print(f"medgrid: --group finds nothing in any path, such as {rows[0]['path']}", file=sys.stderr)
    if sum(not row["error"] for row in rows) < 2:
        raise MedgridError(f"{source}: of {len(rows)} images fewer than two decode, {rows[0]['error']}")
    write_rows(rows, target)


def _check_room(out: Path, files: Iterable[Path]) -> None:
    """Raise MedgridError, before any work, where the results cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise MedgridError(f"--out {out}: {error.strerror}") from None
    if folder := next((file for file in files if file.is_dir()), None):
        raise MedgridError(f"--out {out}: {folder} is a folder")


def audit_folder(source: str, out: Path, group: str, threads: int, page) -> dict:
    """Write audit.json and pairs.csv into `out`, and the page by `page`; returns the findings.

    `source`: a folder or a zip; `group`: a regular expression that finds the group (patient) in a path, or nothing.
    Raises MedgridError when there are no images.
    """
    if not Path(source).exists():
        raise MedgridError(f"{source} does not exist")
    if not Path(source).is_dir():
        try:
            zipfile.ZipFile(source).close()
        except zipfile.BadZipFile as error:
            raise MedgridError(f"{source} is neither a folder nor a zip: {error}") from None
    audited, pairs, shown = (out / name for name in ("audit.json", "pairs.csv", "index.html"))
    _check_room(out, (audited, pairs, shown))
    with tempfile.TemporaryDirectory() as scratch:
        inventory, near_duplicates, thumbnails = (
            Path(scratch, name) for name in ("images.csv", "near_duplicates.csv", "thumbnails.npz")
        )
        _inventory(source, group, inventory, threads)
        write_near_duplicates({}, source, str(inventory), str(near_duplicates), str(thumbnails), threads)
        settings = {"data": Path(source).resolve().name, "license": "", "split_settings_list": []}
        settings |= {"synthetic": False, "show_images": True}
        write_findings(settings, str(inventory), str(near_duplicates), str(thumbnails), str(audited), str(pairs))
        page({}, str(audited), str(pairs), str(inventory), str(near_duplicates), str(thumbnails), str(shown))
    return json.loads(audited.read_text(encoding="utf-8"))


def failures(found: dict, asked: list[str]) -> list[str]:
    """What of `asked` (names of FAILINGS) the findings hold, in words."""
    counts = {name: FAILINGS[name][1](found) for name in asked}
    return [f"{count} {FAILINGS[name][0]} ({name})" for name, count in counts.items() if count]


def tell(found: dict) -> None:
    """The findings in a few lines."""
    near, pixels = found["near"], found["pixels"]
    lines = [
        f"{found['images']} images, {len(found['classes'])} classes; {found['unreadable']} do not decode",
        f"{pixels['surplus']} are copies of others, {near['surplus'] - pixels['surplus']} more show the same picture",
        f"of {near['clusters']} pictures that come up more than once, {near['conflicting']} have several labels and "
        f"{near['across_splits']} lie in several of the original splits",
    ]
    if found["shortcuts"]:
        best = max(found["shortcuts"], key=found["shortcuts"].get)
        lines.append(
            f"without looking closely, {best} tells the class with a balanced accuracy of "
            f"{found['shortcuts'][best]:.1%} (chance: {found['chance']:.1%})"
        )
    for line in lines:
        print(f"medgrid: {line}", file=sys.stderr)
