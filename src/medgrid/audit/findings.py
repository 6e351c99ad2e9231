"""What is wrong with a data set before anything learns from it: copies, near-duplicates, conflicting labels, shortcuts."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from medgrid.audit.shortcuts import ASKED, nearest, shortcuts, shrunk, some
from medgrid.data import UNLABELLED
from medgrid.data.clusters import FILE, PIXELS, SAME_PICTURE, THRESHOLDS, cluster_ids, read_images
from medgrid.data.split import assign, clusters
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write


def _repeated(images: pd.DataFrame, pairs: pd.DataFrame, kinds: list[str]) -> dict[str, int]:
    """Counts of clusters that pairs of these kinds make.

    images: in clusters of two and more; clusters; surplus: images beyond the first of each cluster; largest: images;
    conflicting: clusters with several labels; across_splits: clusters in several of the original splits.
    """
    table = images[["label", "original_split"]].assign(cluster=cluster_ids(len(images), pairs, kinds))
    sizes = table["cluster"].value_counts()
    several = table[table["cluster"].map(sizes) > 1]
    return {
        "images": len(several),
        "clusters": several["cluster"].nunique(),
        "surplus": len(several) - several["cluster"].nunique(),
        "largest": int(sizes.max()),
        "conflicting": _in_several(several[several["label"] != ""], "cluster", "label"),
        "across_splits": _in_several(several[several["original_split"] != ""], "cluster", "original_split"),
    }


def _in_several(table: pd.DataFrame, unit: str, of: str) -> int:
    """How many units have more than one value of a column."""
    return int((table.groupby(unit)[of].nunique() > 1).sum())


def _grouped(images: pd.DataFrame) -> dict[str, int]:
    """Groups (patients, series): how many, and how many lie in several original splits or have several labels."""
    table = images[images["group"] != ""]
    known = table["original_split"].where(table["original_split"] != "")
    torn = known.groupby(table["group"]).transform("nunique") > 1
    return {
        "groups": table["group"].nunique(),
        "images": len(table),
        "across_splits": table.loc[torn, "group"].nunique(),
        "images_across_splits": int(torn.sum()),
        "several_labels": _in_several(table[table["label"] != ""], "group", "label"),
    }


def leakage(
    images: pd.DataFrame, small: np.ndarray, pairs: pd.DataFrame, train: np.ndarray, test: np.ndarray
) -> dict:
    """Of the rows `test`: how many have a copy, a near-duplicate or their group in `train`, and what raw thumbnails tell.

    nearest: share of right classes when that of the training image with the nearest thumbnail is taken over;
    nearest_alone: the same on test images without a near-duplicate in training. Of `asked` images, drawn where there are more.
    """
    found = {"train_images": len(train), "test_images": len(test)}
    for name, kinds in {"copies": PIXELS, "near_duplicates": SAME_PICTURE}.items():
        numbers = cluster_ids(len(images), pairs, kinds)
        tied = np.isin(numbers[test], numbers[train])
        found[f"{name}_in_training"] = int(tied.sum())
    groups = images["group"].to_numpy()
    found["groups_in_training"] = int((np.isin(groups[test], groups[train]) & (groups[test] != "")).sum())
    asked = some(np.arange(len(test)), ASKED)
    labels = images["label"].to_numpy()
    right = labels[nearest(small, train, test[asked])] == labels[test[asked]]
    alone = right[~tied[asked]]
    return found | {
        "asked": len(asked),
        "nearest": float(right.mean()),
        "nearest_deduplicated": float(alone.mean()) if len(alone) else None,
    }


def _splits(
    images: pd.DataFrame, pairs: pd.DataFrame, split_settings_list: list[dict]
) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Every way to part the images: what it is called, rows that train, rows that are tested."""
    labelled = images["label"] != ""
    names = images.loc[labelled, "original_split"].value_counts()
    names = names[[name for name in names.index if name not in ("", UNLABELLED)]]
    if len(names) > 1:
        train = next((name for name in names.index if name.lower().startswith("train")), names.index[0])
        rows = {name: np.flatnonzero(labelled & (images["original_split"] == name)) for name in names.index}
        for name in sorted(set(names.index) - {train}):
            yield {"protocol": "own", "train": train, "test": name}, rows[train], rows[name]
    for split_settings in split_settings_list:
        settings = {key: value for key, value in split_settings.items() if key != "studies"}
        try:
            part = assign(images, settings, pairs)["part"]
        except MedgridError:
            continue  # the study says so, when it is run
        rows = {name: part.index[part == name].to_numpy() for name in ("train", "test")}
        yield (
            {"protocol": split_settings["protocol"], "studies": split_settings["studies"]},
            rows["train"],
            rows["test"],
        )


def audit(
    images: pd.DataFrame, thumbnails: np.ndarray, pairs: pd.DataFrame, split_settings_list: list[dict] = ()
) -> dict:
    """Findings, as JSON has them.

    `images`: rows of an inventory that decode; `partings`: settings of splits (see `medgrid.data.split.assign`), and
    `studies`, the names of those that have them.
    """
    labelled = images[images["label"] != ""]
    numbers, small = clusters(images, pairs), shrunk(thumbnails)
    told = shortcuts(labelled.assign(cluster=numbers[labelled.index]), small[labelled.index])
    return {
        "images": len(images),
        "classes": labelled["label"].value_counts().sort_index().to_dict(),
        "original_splits": images["original_split"].value_counts().sort_index().to_dict(),
        "pairs": {kind: int((pairs["kind"] == kind).sum()) for kind in SAME_PICTURE},
        "file": _repeated(images, pairs, FILE),
        "pixels": _repeated(images, pairs, PIXELS),
        "near": _repeated(images, pairs, SAME_PICTURE),
        "groups": _grouped(images),
        "clusters": {"clusters": len(set(numbers)), "largest": int(np.bincount(numbers).max())},
        "chance": 1 / labelled["label"].nunique() if len(labelled) else None,
        "shortcuts": told,
        "splits": [
            called | leakage(images, small, pairs, train, test)
            for called, train, test in _splits(images, pairs, split_settings_list)
        ],
    }


def write_findings(
    settings: dict, inventory: str, near_duplicates: str, thumbnails: str, target: str, pairs: str
) -> None:
    """Write the JSON `target` (see `audit`) and the CSV `pairs`.

    `settings` holds `partings` and what the page says of the data set; it is kept in the JSON. The CSV: kind,
    first_path, second_path, labels and original splits of both, correlation, detail (see `find_pairs`).
    """
    images = read_images(inventory)
    unreadable = len(pd.read_csv(inventory, usecols=["path"])) - len(images)
    table = pd.read_csv(near_duplicates)
    with np.load(thumbnails) as stored:
        found = audit(images, stored["thumbnails"], table, settings["split_settings_list"])
        looked_at = {name: int(stored[name]) for name in ("candidates", "not_looked_at")}
    found = {"settings": settings, "unreadable": unreadable} | found
    found["search"] = looked_at | {"correlation": THRESHOLDS[0], "detail": THRESHOLDS[1]}
    told = {"kind": table["kind"]}
    for column, name in (("path", "path"), ("label", "label"), ("original_split", "split")):
        for side in ("first", "second"):
            told[f"{side}_{name}"] = images[column].to_numpy()[table[side]]
    shown = pd.DataFrame(told).assign(correlation=table["correlation"], detail=table["detail"])
    with atomic_write(pairs) as temporary:
        shown.to_csv(temporary, index=False, float_format="%.4f")
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
