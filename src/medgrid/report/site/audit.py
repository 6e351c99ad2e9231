"""The page of a data set's audit: counts, leakage, shortcuts, and pairs of images to inspect."""

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image

from medgrid.audit.findings import write_findings
from medgrid.data.clusters import read_images
from medgrid.data.orientations import BY_NAME
from medgrid.report.site.assets import write_assets
from medgrid.report.site.render import render
from medgrid.utils.files import atomic_write

SHOWN = 12  # pairs per gallery
REJECTED = "Closest pairs that are not near-duplicates"
KINDS = {
    "file": "identical files", "pixels": "identical pixels", "near_duplicate": "near-duplicate",
    "rejected": "not a near-duplicate",
}  # fmt: skip
CLUSTERS = {
    "file": "Identical files",
    "pixels": "Identical pixels",
    "near_duplicate": "Near-duplicates (including the above)",
}


def write_audit(
    settings: dict[str, Any],
    inventory: str,
    near_duplicates: str,
    thumbnails: str,
    audit: str,
    pairs: str,
    page: str,
) -> None:
    """Write a data set's findings (see `write_findings`), then their page, two folders below the site."""
    write_findings(settings, inventory, near_duplicates, thumbnails, audit, pairs)
    write_audit_page({"root": "../../"}, audit, pairs, inventory, near_duplicates, thumbnails, page)


def write_audit_page(
    settings: dict[str, Any],
    audit: str,
    pairs: str,
    inventory: str,
    near_duplicates: str,
    thumbnails: str,
    target: str,
) -> None:
    """Write the page `target` of the findings in `audit`, with thumbnails if the settings in `audit` allow it.

    `settings`: root, the relative path from the page to the site; empty for a page without a site. The files `audit`
    and `pairs`, which the page links, are copied next to it.
    """
    findings = json.loads(Path(audit).read_text(encoding="utf-8"))
    with np.load(thumbnails) as arrays:
        images = arrays["thumbnails"] if findings["settings"]["show_images"] else None
    page = render(
        "audit.html",
        findings=findings,
        rows={title: findings[kind] for kind, title in CLUSTERS.items()},
        galleries=galleries(read_images(inventory), pd.read_csv(near_duplicates, keep_default_na=False), images),
        **settings,
    )
    for file in map(Path, (audit, pairs)):
        if file.parent.resolve() != Path(target).parent.resolve():
            shutil.copyfile(file, Path(target).with_name(file.name))
    if settings:
        write_assets(Path(target).parent / settings["root"])
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")


def galleries(images: pd.DataFrame, pairs: pd.DataFrame, thumbnails: np.ndarray | None) -> list[dict[str, Any]]:
    """Pairs to inspect, each in one gallery of at most SHOWN: heading, count (of all such pairs) and pairs.

    `thumbnails`: uint8 [N, H, W], or None where images must not be shown.
    """
    correlation = pairs["correlation"] + pairs["detail"]
    result, shown = [], set()
    for heading, belongs in _headings(images, pairs).items():
        order = correlation[belongs].sort_values(ascending=heading != REJECTED, kind="stable").index
        rows = [row for row in order if row not in shown][:SHOWN]
        shown |= set(rows)
        if rows:
            entries = [_entry(pairs.loc[row], images, thumbnails) for row in rows]
            result.append({"heading": heading, "count": int(belongs.sum()), "pairs": entries})
    return result


def _headings(images: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, pd.Series]:
    """By heading of a gallery, which of the pairs belong into it."""

    def differ(column: str) -> pd.Series:
        values = images[column].to_numpy()
        one, other = values[pairs["first"]], values[pairs["second"]]
        return (pairs["kind"] != "rejected") & (one != other) & (one != "") & (other != "")

    return {
        "Near-duplicates with different labels": differ("label"),
        "Near-duplicates in different original splits": differ("original_split"),
        "Least similar near-duplicates": pairs["kind"] == "near_duplicate",
        REJECTED: pairs["kind"] == "rejected",
    }


def _entry(pair: pd.Series, images: pd.DataFrame, thumbnails: np.ndarray | None) -> dict[str, Any]:
    """What the page shows of a pair; `source`: both images, the first in the pair's orientation, as a data URI."""
    rows = np.array([pair["first"], pair["second"]])
    source = None
    if thumbnails is not None:
        (first,) = BY_NAME[pair["orientation"]].of_images(thumbnails[rows[:1]])
        source = _side_by_side(first, thumbnails[rows[1]])
    is_copy = pair["kind"] in ("file", "pixels")
    return {
        "kind": ", ".join(filter(None, (KINDS[pair["kind"]], pair["orientation"]))),
        "paths": images["path"].iloc[rows].tolist(),
        "correlation": None if is_copy else f"{pair['correlation']:.3f}",
        "detail": f"{pair['detail']:.3f}",
        "source": source,
    }


def _side_by_side(one: np.ndarray, other: np.ndarray) -> str:
    """Two thumbnails, uint8 [H, W], as the data URI of one image."""
    gap = np.full((len(one), 4), 255, np.uint8)
    with io.BytesIO() as buffer:
        PIL.Image.fromarray(np.hstack([one, gap, other])).save(buffer, "WEBP", quality=85)
        return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
