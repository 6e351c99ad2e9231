"""Shortcuts: features that predict the label without the image content, and the nearest raw thumbnail.

If a network is not more accurate than a shortcut, there is no evidence that it learns from the image content.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from medgrid.data.nearest_thumbnail import MAX_QUERIES, nearest, sample
from medgrid.data.split import most_frequent_labels

FOLDS = 5
LEAVES = 16  # of each tree: enough for a few thresholds, too few to memorise images

# name: columns of the inventory, or features derived from it and from the thumbnails
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
CATEGORICAL = ("mode", "format")

Fold = tuple[np.ndarray, np.ndarray]  # rows of training and test images


def shortcuts(images: pd.DataFrame, small: np.ndarray) -> dict[str, float]:
    """Balanced accuracy, 0..1, of a small decision tree on each of SHORTCUTS, and of the nearest raw thumbnail.

    Chance is one over the number of classes. Empty if there are fewer than two classes, or if a class is a single
    cluster.

    `images`: columns label, cluster, width, height, bytes, mode, format; `small`: their thumbnails (see `shrink`).
    Cross-validation keeps the images of a cluster (copies, near-duplicates, a group) in one fold.
    """
    folds = _folds(images)
    if not folds:
        return {}
    numbers = images[["width", "height", "bytes"]].astype(float)
    features = numbers.assign(aspect=numbers["width"] / numbers["height"], brightness=small.mean(1))
    features[list(CATEGORICAL)] = images[list(CATEGORICAL)]
    labels = images["label"].to_numpy()
    accuracies = {name: _tree_accuracy(features[columns], labels, folds) for name, columns in SHORTCUTS.items()}
    sampled = [(train, sample(test, MAX_QUERIES // len(folds))) for train, test in folds]
    queries = np.concatenate([test for _, test in sampled])
    neighbours = np.concatenate([nearest(small, train, test) for train, test in sampled])
    return accuracies | {NEAREST: float(balanced_accuracy_score(labels[queries], labels[neighbours]))}


def _folds(images: pd.DataFrame) -> list[Fold]:
    """Cross-validation over clusters, stratified by label; none where a class is a single cluster."""
    clusters = most_frequent_labels(images)
    rarest = clusters["label"].value_counts().min() if set(clusters["label"]) == set(images["label"]) else 0
    if rarest < 2 or clusters["label"].nunique() < 2:
        return []
    splitter = StratifiedKFold(min(FOLDS, rarest), shuffle=True, random_state=0)
    rows = np.arange(len(images))
    folds = []
    for _, test_clusters in splitter.split(clusters, clusters["label"]):
        is_test = images["cluster"].isin(clusters.index[test_clusters]).to_numpy()
        folds.append((rows[~is_test], rows[is_test]))
    return folds


def _tree_accuracy(features: pd.DataFrame, labels: np.ndarray, folds: list[Fold]) -> float:
    """Balanced accuracy, 0..1, of cross-validated predictions."""
    categorical = [column for column in features if column in CATEGORICAL]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), categorical), remainder="passthrough")
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, class_weight="balanced", random_state=0)
    predicted = cross_val_predict(make_pipeline(encoder, tree), features, labels, cv=folds)
    return float(balanced_accuracy_score(labels, predicted))
