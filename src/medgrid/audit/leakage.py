"""Leakage between train and test images: copies, near-duplicates, shared groups, and the accuracy of a lookup."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from medgrid.data import UNLABELLED
from medgrid.data.clusters import NEAR_DUPLICATES, SAME_PIXELS, cluster_ids, read_images
from medgrid.grid.manifest import StudyManifest
from medgrid.utils.files import atomic_write


def leakage(
    images: pd.DataFrame, pairs: pd.DataFrame, train: np.ndarray, test: np.ndarray, lookup: np.ndarray
) -> dict[str, Any]:
    """Leakage from rows `train` into rows `test` of `images`.

    `images`: columns label and group; `pairs`: see `find_pairs`; `lookup` [test]: for each test image, the label of
    the training image with the nearest thumbnail.

    - train_images, test_images: counts
    - copies_in_training, near_duplicates_in_training, groups_in_training: counts of test images for which part
      train has a copy (equal pixels), a near-duplicate (or copy), or another image of the group
    - lookup: share of the test images (0..1) whose label the lookup predicts
    - lookup_deduplicated: the same of those without near-duplicates in training; None without such images
    """
    counts = {"train_images": len(train), "test_images": len(test)}
    in_training = {}
    for name, kinds in {"copies": SAME_PIXELS, "near_duplicates": NEAR_DUPLICATES}.items():
        clusters = cluster_ids(len(images), pairs, kinds)
        in_training[name] = np.isin(clusters[test], clusters[train])
        counts[f"{name}_in_training"] = int(in_training[name].sum())
    groups = images["group"].to_numpy()
    counts["groups_in_training"] = int((np.isin(groups[test], groups[train]) & (groups[test] != "")).sum())
    correct = images["label"].to_numpy()[test] == lookup
    deduplicated = correct[~in_training["near_duplicates"]]
    return counts | {
        "lookup": float(correct.mean()),
        "lookup_deduplicated": float(deduplicated.mean()) if len(deduplicated) else None,
    }


def original_splits(images: pd.DataFrame) -> Iterator[tuple[dict[str, str], np.ndarray, np.ndarray]]:
    """The archive's own splits, as pairs of folders: names of the train and the test folder, rows of both.

    The train folder is the largest whose name starts with "train", or the largest of all. Empty if the archive
    has fewer than two folders.
    """
    labelled = images["label"] != ""
    names = images.loc[labelled, "original_split"].value_counts()
    names = names[[name for name in names.index if name not in ("", UNLABELLED)]]
    if len(names) < 2:
        return
    train = next((name for name in names.index if name.lower().startswith("train")), names.index[0])
    rows = {name: np.flatnonzero(labelled & (images["original_split"] == name)) for name in names.index}
    for name in sorted(set(names.index) - {train}):
        yield {"train": train, "test": name}, rows[train], rows[name]


def write_leakage(manifest: StudyManifest, inventory: str, near_duplicates: str, split: str, target: str) -> None:
    """Write the JSON `target`: leakage between parts train and test of a study's split (see `leakage`).

    It also has the study's name and protocol. `split`: the CSV of the study, whose parts are read as they are.
    """
    images, table = read_images(inventory), pd.read_csv(split, keep_default_na=False, dtype={"lookup": str})
    train, test = (table.loc[table["part"] == part, "row"].to_numpy() for part in ("train", "test"))
    lookup = table.loc[table["part"] == "test", "lookup"].to_numpy()
    values = leakage(images, pd.read_csv(near_duplicates), train, test, lookup)
    content = {"study": manifest.study, "protocol": manifest.protocol} | values
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
