"""What is wrong with a data set before anything learns from it: copies, twins, conflicting labels, shortcuts."""

import json

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from medgrid.data.shortcuts import nearest, shortcuts
from medgrid.data.split import clusters
from medgrid.data.twins import candidates, correlations, signatures
from medgrid.files import replacing

# correlation of aligned images, and of their details, from which two show the same picture; between these and the
# next lie mostly slices of one scan (benchmarks/README.md has how both were found)
TWIN = (0.985, 0.96)
NEIGHBOUR = (0.97, 0.90)


def _pairs_of(values: pd.Series) -> np.ndarray:
    """Each image with the first that has the same value, int64 [M, 2]."""
    codes = pd.factorize(values)[0]
    rows = np.arange(len(codes))
    first = np.full(codes.max() + 1, len(codes))
    np.minimum.at(first, codes, rows)
    later = rows[first[codes] < rows]
    return np.stack([first[codes[later]], later], 1)


def find_pairs(images: pd.DataFrame, thumbnails: np.ndarray) -> pd.DataFrame:
    """Pairs of rows that belong together: first, second, kind (file, pixels, twin, neighbour), correlation, detail.

    Copies are named once, with the first image of their kind; twins are looked for among what is left.
    """
    same_file = _pairs_of(images["file_sha256"])
    same_pixels = _pairs_of(images["pixels_sha256"])
    known = set(map(tuple, same_file))
    same_pixels = np.array([pair for pair in map(tuple, same_pixels) if pair not in known]).reshape(-1, 2)
    alone = np.flatnonzero(~images.duplicated("pixels_sha256"))
    found = candidates(signatures(thumbnails[alone]))
    strength = correlations(thumbnails[alone], found)
    kinds = [
        ("file", same_file, np.ones((len(same_file), 2))),
        ("pixels", same_pixels, np.ones((len(same_pixels), 2))),
    ]
    twin = (strength >= TWIN).all(1)
    near = (strength >= NEIGHBOUR).all(1) & ~twin
    kinds += [("twin", alone[found[twin]], strength[twin]), ("neighbour", alone[found[near]], strength[near])]
    tables = [
        pd.DataFrame(
            {"first": pairs[:, 0], "second": pairs[:, 1], "kind": kind, "correlation": r[:, 0], "detail": r[:, 1]}
        )
        for kind, pairs, r in kinds
    ]
    return pd.concat(tables, ignore_index=True)


def joined(size: int, pairs: np.ndarray) -> np.ndarray:
    """Number of the cluster of each of `size` images that `pairs` [M, 2] tie together."""
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1]


def _relation(images: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, int]:
    """Counts of one kind of pairs."""
    numbers = joined(len(images), pairs[["first", "second"]].to_numpy())
    table = pd.DataFrame({"cluster": numbers, "label": images["label"], "split": images["original_split"]})
    sizes = table.groupby("cluster").size()
    several = table[table["cluster"].map(sizes) > 1].groupby("cluster")
    labels = several["label"].nunique()
    return {
        "images": int(sizes[sizes > 1].sum()),
        "clusters": int((sizes > 1).sum()),
        "surplus": int((sizes - 1).sum()),
        "conflicting": int((labels > 1).sum()),
        "across_splits": int((several["split"].nunique() > 1).sum()),
    }


def audit(images: pd.DataFrame, thumbnails: np.ndarray, pairs: pd.DataFrame) -> dict:
    """Findings, as JSON has them: counts of copies and twins, balanced accuracies of shortcuts, nearest thumbnails."""
    upto = {"file": ["file"], "pixels": ["file", "pixels"], "twin": ["file", "pixels", "twin"]}
    found = {kind: _relation(images, pairs[pairs["kind"].isin(kinds)]) for kind, kinds in upto.items()}
    found["neighbour"] = {"pairs": int((pairs["kind"] == "neighbour").sum())}
    labelled = images[images["label"] != ""]
    rows = labelled.index.to_numpy()
    told = shortcuts(labelled.assign(cluster=clusters(labelled)), thumbnails[rows].mean((1, 2)))
    return {"images": len(images), "classes": sorted(set(labelled["label"])), **found, "shortcuts": told}


def leakage(split: pd.DataFrame, images: pd.DataFrame, thumbnails: np.ndarray, pairs: pd.DataFrame) -> dict:
    """Of a split's test images: the share with a copy or a twin in training, and what raw thumbnails tell.

    `nearest`: accuracy of taking over the class of the training image whose thumbnail is nearest; `nearest_alone`: the
    same on test images without a twin in training.
    """
    part = {name: rows["row"].to_numpy() for name, rows in split.groupby("part")}
    train, test = part["train"], part["test"]
    labels = images["label"].to_numpy()
    found = {"test_images": len(test)}
    for kind, kinds in {"copies": ["file", "pixels"], "twins": ["file", "pixels", "twin"]}.items():
        numbers = joined(len(images), pairs.loc[pairs["kind"].isin(kinds), ["first", "second"]].to_numpy())
        tied = np.isin(numbers[test], numbers[train])
        found[f"{kind}_in_training"] = float(tied.mean())
    right = labels[nearest(thumbnails, train, test)] == labels[test]
    found |= {"nearest": float(right.mean()), "nearest_alone": float(right[~tied].mean()) if (~tied).any() else None}
    return found


def write_audit(settings: dict, inventory: str, thumbnails: str, splits: list[str], target: str, pairs: str) -> None:
    """Write the JSON `target` (see `audit` and `leakage`) and the CSV `pairs` (see `find_pairs`, with paths)."""
    images = pd.read_csv(inventory, keep_default_na=False, dtype=str)
    images = images[images["error"] == ""].reset_index(drop=True)
    with np.load(thumbnails) as stored:
        images["file_sha256"], small = stored["file_sha256"], stored["thumbnails"]
    table = find_pairs(images, small)
    found = audit(images, small, table)
    found["splits"] = {name: leakage(pd.read_csv(name), images, small, table) for name in splits}
    for side in ("first", "second"):
        table[f"{side}_path"] = images["path"].to_numpy()[table[side]]
        table[f"{side}_label"] = images["label"].to_numpy()[table[side]]
    with replacing(pairs) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
