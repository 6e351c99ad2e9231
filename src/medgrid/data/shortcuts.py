"""How well something that is no picture tells the class: a file's size, format or brightness, and raw thumbnails.

What such a shortcut reaches, a network must beat before it can be said to have learned anything.
"""

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_transformer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

FOLDS = 5
LEAVES = 16  # of each tree: enough for a few thresholds, too few to learn images by heart
BLOCK = 4096  # images compared at a time
SIDE = 16  # px of the thumbnails that nearest neighbours see

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
WORDS = ("mode", "format")


def _score(features: pd.DataFrame, labels: np.ndarray, clusters: np.ndarray) -> float:
    """Balanced accuracy of a small tree, by cross-validation in which a cluster of copies stays on one side."""
    words = [column for column in features if column in WORDS]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder="passthrough")
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, class_weight="balanced", random_state=0)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    found = cross_val_predict(make_pipeline(encoder, tree), features, labels, groups=clusters, cv=folds)
    return float(balanced_accuracy_score(labels, found))


def shortcuts(images: pd.DataFrame, brightness: np.ndarray) -> dict[str, float]:
    """Balanced accuracy of each shortcut in SHORTCUTS; chance is one over the number of classes.

    `images`: label, cluster, width, height, bytes, mode, format of each; `brightness` [N]: mean of its thumbnail.
    """
    numbers = images[["width", "height", "bytes"]].astype(float)
    features = numbers.assign(aspect=numbers["width"] / numbers["height"], brightness=brightness)
    features[list(WORDS)] = images[list(WORDS)]
    labels, groups = images["label"].to_numpy(), images["cluster"].to_numpy()
    return {name: _score(features[columns], labels, groups) for name, columns in SHORTCUTS.items()}


def nearest(thumbnails: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """For each row of `test` the row of `train` whose raw thumbnail is nearest (Euclidean, SIDE x SIDE px)."""
    side = thumbnails.shape[1] // SIDE
    small = thumbnails.reshape(len(thumbnails), SIDE, side, SIDE, side).mean((2, 4), dtype=np.float32)
    small = torch.from_numpy(small.reshape(len(small), -1))
    known, asked = small[torch.tensor(train)], small[torch.tensor(test)]
    half_norm = known.square().sum(1) / 2
    found = [(block @ known.T - half_norm).argmax(1) for block in asked.split(BLOCK)]
    return train[torch.cat(found).numpy()]
