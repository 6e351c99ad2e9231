"""Groups of test images, by what is known of them, and how many of each the seeds get right."""

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from medgrid.evaluation.metrics import CONFIDENCE

SMALLEST = 20  # images, below which a group is named but not judged
FEW = 3  # distinct numbers, up to which each is a group
AT_ONCE = 1024  # images in memory


def brightness(tensors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean value, 0 to 255, of the images at `rows` [n] of uint8 [N, H, W, C]."""
    blocks = np.split(rows, range(AT_ONCE, len(rows), AT_ONCE))
    return np.concatenate([tensors[block].mean((1, 2, 3)) for block in blocks])


def thirds(values: pd.Series) -> pd.Series:
    """Numbers as lowest, middle and highest third, named by their bounds; fewer where one number is that frequent."""
    if values.nunique() <= FEW:
        return values.astype("category").cat.rename_categories("{:.0f}".format)
    parts = pd.qcut(values, 3, duplicates="drop")
    bounds = values.groupby(parts, observed=True).agg(["min", "max"])
    return parts.cat.rename_categories(
        {each: f"{bounds.loc[each, 'min']:.0f} to {bounds.loc[each, 'max']:.0f}" for each in bounds.index}
    )


def factors(images: pd.DataFrame) -> dict[str, pd.Series]:
    """By what test images differ, and the group of each.

    `images`: label, format, mode, width, height (as text), brightness of each.
    """
    side = np.sqrt(images["width"].astype(float) * images["height"].astype(float))
    return {
        "class": images["label"],
        "format": images["format"],
        "mode": images["mode"],
        "side, px": thirds(side.round()),
        "brightness": thirds(images["brightness"]),
    }


def subgroups(images: pd.DataFrame, right: np.ndarray) -> pd.DataFrame:
    """One row per group: factor, group, images, clusters, accuracy, low, high, judged.

    `images` as in `factors`, and cluster; `right` [n]: share of seeds that named an image's class. The bounds are a
    95 % Wilson interval over test images, in which a cluster (copies, one patient) counts as one image. judged:
    `lower` or `higher` where the accuracy of all images lies outside, `small` below SMALLEST images, else empty; no
    correction is made for the number of groups. A factor that all images share has a single row.
    """
    rows = []
    for factor, group_of in factors(images).items():
        for group, indices in group_of.groupby(group_of, observed=True).indices.items():
            accuracy, clusters = right[indices].mean(), images["cluster"].iloc[indices].nunique()
            low, high = proportion_confint(accuracy * clusters, clusters, 1 - CONFIDENCE, "wilson")
            judged = "lower" if high < right.mean() else "higher" if low > right.mean() else ""
            rows.append(
                {
                    "factor": factor,
                    "group": group,
                    "images": len(indices),
                    "clusters": clusters,
                    **{"accuracy": accuracy, "low": low, "high": high},
                    "judged": "small" if len(indices) < SMALLEST else judged,
                }
            )
    return pd.DataFrame(rows)
