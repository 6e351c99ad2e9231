"""Findings about a data set's images: copies, conflicting labels, leakage, file order and shortcuts."""

import json
from typing import Any

import numpy as np
import pandas as pd

from medgrid.audit.file_order import file_order
from medgrid.audit.leakage import leakage, original_splits
from medgrid.audit.shortcuts import shortcuts
from medgrid.data.clusters import (
    NEAR_DUPLICATE_CORRELATIONS,
    NEAR_DUPLICATES,
    SAME_FILE,
    SAME_PIXELS,
    cluster_ids,
    cluster_ids_with_groups,
    read_images,
    weakest_links,
)
from medgrid.data.nearest_thumbnail import nearest, shrink
from medgrid.data.orientations import UPRIGHT
from medgrid.data.series import series_ids
from medgrid.utils.files import atomic_write

LARGEST = 10  # clusters whose weakest links are reported


def audit(
    images: pd.DataFrame,
    thumbnails: np.ndarray,
    pairs: pd.DataFrame,
    series: str | dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Findings as JSON types.

    `images`: rows of an inventory that decode; `thumbnails`: uint8 [N, SIZE, SIZE]; `pairs`: see `find_pairs`;
    `series`: the data set's setting (see `medgrid.data.series`), or None.

    - images, classes, original_splits: counts
    - pairs: counts by kind; file, pixels, near_duplicate: clusters of these pairs (see `_repeated`)
    - turned_pairs: near-duplicates by orientation, such as mirrored, without those that are upright
    - largest_clusters: the LARGEST clusters of near-duplicates: numbers of images and labels, and the weakest link of
      each (see `weakest_links`): paths, kind, orientation, correlation and detail of a pair
    - groups: see `_grouped`
    - clusters: number and largest size of those that near-duplicates, groups and series connect
    - file_order: see `medgrid.audit.file_order`; None where names have no numbers
    - shortcuts, chance: balanced accuracies, 0..1 (see `medgrid.audit.shortcuts`)
    - splits: leakage of each of the archive's own splits (see `medgrid.audit.leakage`)
    """
    labelled = images[images["label"] != ""]
    joined = series_ids(images, thumbnails, pairs, series) if series else None
    clusters, small = cluster_ids_with_groups(images, pairs, joined), shrink(thumbnails)
    labels = images["label"].to_numpy()
    return {
        "images": len(images),
        "classes": labelled["label"].value_counts().sort_index().to_dict(),
        "original_splits": images["original_split"].value_counts().sort_index().to_dict(),
        "pairs": {kind: int((pairs["kind"] == kind).sum()) for kind in NEAR_DUPLICATES},
        "file": _repeated(images, pairs, SAME_FILE),
        "pixels": _repeated(images, pairs, SAME_PIXELS),
        "near_duplicate": _repeated(images, pairs, NEAR_DUPLICATES),
        "turned_pairs": _turned(pairs),
        "largest_clusters": _largest_clusters(images, pairs),
        "groups": _grouped(images),
        "clusters": {"clusters": len(set(clusters)), "largest": int(np.bincount(clusters).max())},
        "file_order": file_order(images, small, pairs),
        "chance": 1 / labelled["label"].nunique() if len(labelled) else None,
        "shortcuts": shortcuts(labelled.assign(cluster=clusters[labelled.index]), small[labelled.index]),
        "splits": [
            names | leakage(images, pairs, train, test, labels[nearest(small, train, test)])
            for names, train, test in original_splits(images)
        ],
    }


def _repeated(images: pd.DataFrame, pairs: pd.DataFrame, kinds: list[str]) -> dict[str, int]:
    """Clusters of two and more images that pairs of these kinds connect, counted.

    images: in such clusters; clusters; surplus: images beyond the first of each cluster; largest: images of the
    largest cluster; conflicting: clusters with several labels; across_splits: clusters in several original splits.
    """
    table = images[["label", "original_split"]].assign(cluster=cluster_ids(len(images), pairs, kinds))
    sizes = table["cluster"].value_counts()
    repeated = table[table["cluster"].map(sizes) > 1]
    clusters = repeated["cluster"].nunique()
    return {
        "images": len(repeated),
        "clusters": clusters,
        "surplus": len(repeated) - clusters,
        "largest": int(sizes.max()),
        "conflicting": _with_several(repeated[repeated["label"] != ""], "cluster", "label"),
        "across_splits": _with_several(repeated[repeated["original_split"] != ""], "cluster", "original_split"),
    }


def _turned(pairs: pd.DataFrame) -> dict[str, int]:
    """Near-duplicates by orientation, without those that are upright."""
    turned = pairs.loc[(pairs["kind"] == "near_duplicate") & (pairs["orientation"] != UPRIGHT.name), "orientation"]
    return turned.value_counts().sort_index().to_dict()


def _largest_clusters(images: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Sizes and weakest links of the LARGEST clusters of near-duplicates, largest first."""
    table = images[["label"]].assign(cluster=cluster_ids(len(images), pairs, NEAR_DUPLICATES))
    sizes = table.groupby("cluster")["label"].agg(images="size", labels="nunique")
    links = _describe_pairs(images, weakest_links(len(images), pairs))
    links = links[["first_path", "second_path", "kind", "orientation", "correlation", "detail"]]
    largest = sizes.join(links, how="inner").sort_values("images", ascending=False, kind="stable")
    return largest.head(LARGEST).round(4).to_dict("records")


def _grouped(images: pd.DataFrame) -> dict[str, int]:
    """Groups (patients, series), counted: all, those in several original splits, and those with several labels."""
    grouped = images[images["group"] != ""]
    splits = grouped["original_split"].where(grouped["original_split"] != "")
    across_splits = splits.groupby(grouped["group"]).transform("nunique") > 1
    return {
        "groups": grouped["group"].nunique(),
        "images": len(grouped),
        "across_splits": grouped.loc[across_splits, "group"].nunique(),
        "images_across_splits": int(across_splits.sum()),
        "several_labels": _with_several(grouped[grouped["label"] != ""], "group", "label"),
    }


def _with_several(table: pd.DataFrame, unit: str, column: str) -> int:
    """How many units have more than one value in a column."""
    return int((table.groupby(unit)[column].nunique() > 1).sum())


def write_findings(
    settings: dict[str, Any], inventory: str, near_duplicates: str, thumbnails: str, target: str, pairs: str
) -> None:
    """Write the JSON `target` and the CSV `pairs`.

    The JSON has the findings (see `audit`); `settings` (data, license, synthetic, show_images, series), of which the
    page uses all; unreadable, a count of images; and search, the numbers of candidate pairs and the thresholds of
    near-duplicates.
    The CSV: kind, orientation, paths, labels and splits of both, correlation, detail (see `find_pairs`).
    """
    images, table = read_images(inventory), pd.read_csv(near_duplicates, keep_default_na=False)
    unreadable = len(pd.read_csv(inventory, usecols=["path"])) - len(images)
    with np.load(thumbnails) as arrays:
        findings = audit(images, arrays["thumbnails"], table, settings["series"])
        search: dict[str, float] = {name: int(arrays[name]) for name in ("candidates", "candidates_dropped")}
    search |= zip(("correlation", "detail"), NEAR_DUPLICATE_CORRELATIONS, strict=True)
    content = {"settings": settings, "unreadable": unreadable} | findings | {"search": search}
    with atomic_write(pairs) as temporary:
        _describe_pairs(images, table).to_csv(temporary, index=False, float_format="%.4f")
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _describe_pairs(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with paths, labels and original splits instead of row numbers."""
    columns: dict[str, Any] = {"kind": pairs["kind"], "orientation": pairs["orientation"]}
    for column, name in (("path", "path"), ("label", "label"), ("original_split", "split")):
        for side in ("first", "second"):
            columns[f"{side}_{name}"] = images[column].to_numpy()[pairs[side]]
    return pd.DataFrame(columns, pairs.index).assign(correlation=pairs["correlation"], detail=pairs["detail"])
