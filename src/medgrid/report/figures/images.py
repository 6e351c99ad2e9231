"""Figures of the data: how many images, and what they look like."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from medgrid.data import PARTS
from medgrid.report.study import Study

SAMPLES = 2  # images per class and part


def labelled(split: pd.DataFrame) -> pd.DataFrame:
    """The images that train, validate or test; competitions have others beside them."""
    return split[split["part"].isin(PARTS)]


def class_counts(study: Study, split: pd.DataFrame):
    split = labelled(split)
    counts = split.groupby(["part", "label"]).size().rename("images").reset_index()
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    sns.barplot(
        counts, x="label", y="images", hue="part", order=study.classes, hue_order=PARTS, ax=axes, errorbar=None
    )
    for bars in axes.containers:
        axes.bar_label(bars, fontsize=7)
    # an image that both validates and tests is one image
    axes.set(xlabel="", title=f"Images per class and part ({split['path'].nunique():,} in all)")
    axes.legend(title="", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(figure)
    return figure


def samples(study: Study, split: pd.DataFrame, tensors: np.ndarray):
    split = labelled(split)
    columns = len(study.classes) * SAMPLES
    figure, grid = plt.subplots(len(PARTS), columns, figsize=(1.15 * columns, 1.3 * len(PARTS)), squeeze=False)
    for row, part in enumerate(PARTS):
        for place, label in enumerate(study.classes):
            rows = split.loc[(split["part"] == part) & (split["label"] == label), "row"]
            shown = np.linspace(0, len(rows) - 1, SAMPLES).astype(int) if len(rows) else []
            for i in range(SAMPLES):
                axes = grid[row, place * SAMPLES + i]
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
                if i < len(shown):
                    # grey tensors have one channel, which matplotlib wants without its axis
                    image = tensors[rows.iloc[shown[i]]]
                    axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
                if i == 0:
                    axes.set_title(label if row == 0 else "", loc="left", fontsize=9)
        grid[row, 0].set_ylabel(part)
    figure.tight_layout(pad=0.3)
    return figure
