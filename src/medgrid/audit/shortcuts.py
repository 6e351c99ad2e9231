"""How well something that is no picture tells the class: a file's size, format or brightness, and raw thumbnails.

What such a shortcut reaches, a network must beat before it can be said to have learned anything.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from medgrid.data.split import most_frequent_labels

FOLDS = 5
LEAVES = 16  # of each tree: enough for a few thresholds, too few to learn images by heart
BLOCK = 1024  # images compared at a time
SIDE = 16  # px of the thumbnails that nearest neighbours see
ASKED = 10_000  # images whose nearest neighbour is looked for, at most: drawn at random

# name: columns of the inventory, or made from it and from the thumbnails
SHORTCUTS = {
    "width and height": ["width", "height"],
    "aspect": ["aspect"],
    "file size": ["bytes"],
    "colour mode": ["mode"],
    "file format": ["format"],
    "mean brightness": ["brightness"],
    "all of these": ["width", "height", "aspect", "bytes", "mode", "format", "brightness"],
}
NEAREST = "nearest thumbnail"
WORDS = ("mode", "format")

Fold = tuple[np.ndarray, np.ndarray]  # rows that train, rows that are tested


def _folds(images: pd.DataFrame) -> list[Fold]:
    """Cross-validation over clusters, stratified by label; none where a class has a single cluster."""
    units = most_frequent_labels(images)
    rarest = units["label"].value_counts().min() if set(units["label"]) == set(images["label"]) else 0
    if rarest < 2 or units["label"].nunique() < 2:
        return []
    folds = StratifiedKFold(min(FOLDS, rarest), shuffle=True, random_state=0)
    rows = np.arange(len(images))
    found = []
    for _, tested in folds.split(units, units["label"]):
        inside = images["cluster"].isin(units.index[tested]).to_numpy()
        found.append((rows[~inside], rows[inside]))
    return found


def _tree(features: pd.DataFrame, labels: np.ndarray, folds: list[Fold]) -> float:
    words = [column for column in features if column in WORDS]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder="passthrough")
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, class_weight="balanced", random_state=0)
    found = cross_val_predict(make_pipeline(encoder, tree), features, labels, cv=folds)
    return float(balanced_accuracy_score(labels, found))


def shortcuts(images: pd.DataFrame, small: np.ndarray) -> dict[str, float]:
    """Balanced accuracy of a small tree on each of SHORTCUTS, and of the nearest raw thumbnail.

    Chance is one over the number of classes. Empty where there is nothing to tell apart.

    `images`: label, cluster, width, height, bytes, mode, format of each; `small`: their thumbnails (see `shrunk`).
    All by cross-validation in which a cluster (of copies, near-duplicates, a group) stays on one side.
    """
    folds = _folds(images)
    if not folds:
        return {}
    numbers = images[["width", "height", "bytes"]].astype(float)
    features = numbers.assign(aspect=numbers["width"] / numbers["height"], brightness=small.mean(1))
    features[list(WORDS)] = images[list(WORDS)]
    labels = images["label"].to_numpy()
    found = {name: _tree(features[columns], labels, folds) for name, columns in SHORTCUTS.items()}
    drawn = [(train, some(tested, ASKED // len(folds))) for train, tested in folds]
    asked = np.concatenate([tested for _, tested in drawn])
    like = np.concatenate([nearest(small, train, tested) for train, tested in drawn])
    return found | {NEAREST: float(balanced_accuracy_score(labels[asked], labels[like]))}


def some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, drawn at random, always the same."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def shrunk(thumbnails: np.ndarray) -> np.ndarray:
    """Area averages of thumbnails, uint8 [N, H, W], float32 [N, SIDE * SIDE]."""
    count, side = len(thumbnails), thumbnails.shape[1]
    small = np.empty((count, SIDE, SIDE), np.float32)
    for start in range(0, count, BLOCK):
        block = thumbnails[start : start + BLOCK]
        parts = block.reshape(len(block), SIDE, side // SIDE, SIDE, side // SIDE)
        small[start : start + BLOCK] = parts.mean((2, 4), dtype=np.float32)
    return small.reshape(count, -1)


def nearest(small: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """For each row of `test` the row of `train` that is nearest by Euclid; `small`: see `shrunk`."""
    known = small[train]
    half_norm = np.square(known).sum(1) / 2
    blocks = [test[start : start + BLOCK] for start in range(0, len(test), BLOCK)]
    return train[np.concatenate([(small[block] @ known.T - half_norm).argmax(1) for block in blocks])]
