"""Accuracy in subgroups of the test images: by class and by properties of the image file."""

from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from medgrid.evaluation.statistics import CONFIDENCE

SMALLEST = 20  # images; smaller groups are listed, but get no verdict
DISTINCT = 3  # numbers up to this many distinct values are grouped by value, others by thirds
BLOCK = 1024  # images in memory at a time


def brightness(tensors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean value, 0 to 255, of the images at `rows` [n] of uint8 [N, H, W, C]."""
    blocks = np.split(rows, range(BLOCK, len(rows), BLOCK))
    return np.concatenate([tensors[block].mean((1, 2, 3)) for block in blocks])


def thirds(values: pd.Series) -> pd.Series:
    """Numbers as lowest, middle and highest third, named by their bounds.

    There are fewer groups where one number is very frequent, and one for each number where there are up to DISTINCT.
    """
    if values.nunique() <= DISTINCT:
        return values.astype("category").cat.rename_categories("{:.0f}".format)
    parts = pd.qcut(values, 3, duplicates="drop")
    bounds = values.groupby(parts, observed=True).agg(["min", "max"])
    return parts.cat.rename_categories(
        {each: f"{bounds.loc[each, 'min']:.0f} to {bounds.loc[each, 'max']:.0f}" for each in bounds.index}
    )


def factors(images: pd.DataFrame) -> dict[str, pd.Series]:
    """By factor, the group of each test image.

    `images`: label, format, mode, width, height (as text) and brightness of each.
    """
    side = pd.Series(np.sqrt(images["width"].astype(float) * images["height"].astype(float)), images.index)
    return {
        "class": images["label"],
        "format": images["format"],
        "mode": images["mode"],
        "side, px": thirds(side.round()),
        "brightness": thirds(images["brightness"]),
    }


def _group_row(correct: np.ndarray, clusters: np.ndarray, overall: float) -> dict[str, Any]:
    """Numbers and verdict of one group; see `subgroups`."""
    accuracy, count = correct.mean(), len(np.unique(clusters))
    low, high = proportion_confint(accuracy * count, count, 1 - CONFIDENCE, "wilson")
    verdict = "lower" if high < overall else "higher" if low > overall else ""
    return {
        "images": len(correct), "clusters": count, "accuracy": accuracy, "low": low, "high": high,
        "verdict": "small" if len(correct) < SMALLEST else verdict,
    }  # fmt: skip


def subgroups(images: pd.DataFrame, correct: np.ndarray) -> pd.DataFrame:
    """One row per group: factor, group, images, clusters, accuracy, low, high, verdict.

    `images` as in `factors`, with a column cluster; `correct` [n]: share of seeds that predict an image's class. The
    bounds are a 95 % Wilson interval over test images, in which a cluster (copies, one patient) counts as one image.
    verdict: `lower` or `higher` where the accuracy of all images lies outside, `small` below SMALLEST images, else
    empty; no correction is made for the number of groups. A factor that all images share has a single row.
    """
    rows = []
    for factor, group_of in factors(images).items():
        for group, indices in group_of.groupby(group_of, observed=True).indices.items():
            numbers = _group_row(correct[indices], images["cluster"].to_numpy()[indices], correct.mean())
            rows.append({"factor": factor, "group": group} | numbers)
    return pd.DataFrame(rows)
