"""Number of images of each class in each part of the split."""

from typing import cast

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.container import BarContainer

from medgrid.data import PARTS
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults


def class_counts(study: LabelledResults) -> Drawn:
    """A bar for each class and part."""
    images = study.labelled_images
    counts = images.groupby(["part", "label"]).size().rename("images").reset_index()
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    sns.barplot(
        counts, x="label", y="images", hue="part", order=study.classes, hue_order=PARTS, ax=axes, errorbar=None
    )
    for bars in axes.containers:
        axes.bar_label(cast(BarContainer, bars), fontsize=7)
    # an image that is in both validation and test is one image
    axes.set(xlabel="", title=f"Images per class and part ({images['path'].nunique():,} in all)")
    axes.legend(title="", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(figure)
    return figure, study.manifest.data


FIGURE = Figure(
    name="class_counts",
    caption="Number of images of each class for training, validation and test.",
    draw=class_counts,
    position=1,
)
