"""An audit's page: counts, shortcuts, leakage, and the pairs of images that one should look at."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

from medgrid.audit.findings import write_findings
from medgrid.data.clusters import read_images
from medgrid.report.site.assets import write_assets
from medgrid.report.site.render import render
from medgrid.utils.files import atomic_write

SHOWN = 12  # pairs of each kind
CLOSEST = "The closest pairs that do not count"
KINDS = {"file": "same file", "pixels": "same pixels", "near_duplicate": "near-duplicate", "rejected": "not counted"}
ROWS = {
    "file": "identical files",
    "pixels": "identical pixels",
    "near": "the same picture (near-duplicates, and all above)",
}
PROTOCOLS = {"own": "the archive's own", "published": "dealt out image by image", "clean": "clean"}


def _picture(one: np.ndarray, other: np.ndarray) -> str:
    """Two thumbnails, uint8 [H, W], side by side, as a data URI."""
    gap = np.full((len(one), 4), 255, np.uint8)
    with io.BytesIO() as buffer:
        PIL.Image.fromarray(np.hstack([one, gap, other])).save(buffer, "WEBP", quality=85)
        return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def galleries(images: pd.DataFrame, pairs: pd.DataFrame, thumbnails: np.ndarray | None) -> list[dict]:
    """Pairs to look at, each in one gallery: conflicting labels, across splits, and on either side of the threshold.

    `thumbnails`: uint8 [N, H, W], or None where pictures may not be shown.
    """
    ends = {side: images.iloc[pairs[side]].reset_index(drop=True) for side in ("first", "second")}
    found = pairs["kind"] != "rejected"

    def differ(column: str) -> pd.Series:
        one, other = ends["first"][column], ends["second"][column]
        return found & (one != other) & (one != "") & (other != "")

    strength = pairs["correlation"] + pairs["detail"]
    chosen = {
        "One picture, two labels": differ("label"),
        "One picture in two of the original splits": differ("original_split"),
        "The weakest near-duplicates that count": pairs["kind"] == "near_duplicate",
        CLOSEST: pairs["kind"] == "rejected",
    }
    result, seen = [], set()
    for heading, wanted in chosen.items():
        order = strength[wanted].sort_values(ascending=heading != CLOSEST, kind="stable").index
        entries = []
        for place in [place for place in order if place not in seen][:SHOWN]:
            seen.add(place)
            pair = pairs.loc[place]
            one, other = (ends[side].loc[place] for side in ("first", "second"))
            entries.append(
                {
                    "kind": KINDS[pair["kind"]],
                    "paths": [one["path"], other["path"]],
                    "correlation": None if pair["kind"] in ("file", "pixels") else f"{pair['correlation']:.3f}",
                    "detail": f"{pair['detail']:.3f}",
                    "source": None
                    if thumbnails is None
                    else _picture(thumbnails[pair["first"]], thumbnails[pair["second"]]),
                }
            )
        if entries:
            result.append({"heading": heading, "count": int(wanted.sum()), "pairs": entries})
    return result


def _called(split: dict) -> str:
    """A split in words."""
    if split["protocol"] == "own":
        return f"{PROTOCOLS['own']}: {split['train']} → {split['test']}"
    return f"{PROTOCOLS[split['protocol']]}: {', '.join(split['studies'])}"


def write_audit(
    settings: dict, inventory: str, near_duplicates: str, thumbnails: str, audit: str, pairs: str, page: str
) -> None:
    """Write a data set's findings (see `write_findings`), then their page, which lies two folders below its site."""
    write_findings(settings, inventory, near_duplicates, thumbnails, audit, pairs)
    write_audit_page({"root": "../../"}, audit, pairs, inventory, near_duplicates, thumbnails, page)


def write_audit_page(
    settings: dict, audit: str, pairs: str, inventory: str, near_duplicates: str, thumbnails: str, target: str
) -> None:
    """Write the page `target` from what `medgrid.audit` made, with thumbnails where the audit's settings allow.

    `settings`: root, the way from the page to its site's folder; nothing, if the page stands alone. What the page
    leads to, `audit` and `pairs`, is copied beside it.
    """
    found = json.loads(Path(audit).read_text(encoding="utf-8"))
    images = read_images(inventory)
    with np.load(thumbnails) as stored:
        small = stored["thumbnails"] if found["settings"]["show_images"] else None
    page = render(
        "audit.html",
        found=found,
        rows={title: found[kind] for kind, title in ROWS.items()},
        splits=[split | {"called": _called(split)} for split in found["splits"]],
        galleries=galleries(images, pd.read_csv(near_duplicates), small),
        **settings,
    )
    for file in map(Path, (audit, pairs)):
        if file.parent.resolve() != Path(target).parent.resolve():
            shutil.copyfile(file, Path(target).with_name(file.name))
    if settings:
        write_assets(Path(target).parent / settings["root"])
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
