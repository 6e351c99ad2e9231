"""Sample images of each class."""

import matplotlib.pyplot as plt
import numpy as np

from medgrid.data import PARTS
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

SAMPLES = 2  # images per class and part


def _draw_image(axes: plt.Axes, image: np.ndarray) -> None:
    # grey tensors have one channel, which matplotlib wants without its axis
    axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)


def samples(study: LabelledResults) -> Drawn:
    """A row for each part; of each class the first and the last image there."""
    images, columns = study.labelled_images, len(study.classes) * SAMPLES
    figure, grid = plt.subplots(len(PARTS), columns, figsize=(1.15 * columns, 1.3 * len(PARTS)), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    for line, part in zip(grid, PARTS, strict=True):
        line[0].set_ylabel(part)
        for label, first in zip(study.classes, range(0, columns, SAMPLES), strict=True):
            rows = images.loc[(images["part"] == part) & (images["label"] == label), "row"]
            shown = np.linspace(0, len(rows) - 1, SAMPLES).astype(int) if len(rows) else []
            for axes, i in zip(line[first:], shown, strict=False):
                _draw_image(axes, study.pixels[rows.iloc[i]])
    for label, axes in zip(study.classes, grid[0, ::SAMPLES], strict=True):
        axes.set_title(label, loc="left", fontsize=9)
    figure.tight_layout(pad=0.3)
    return figure, study.manifest.data


FIGURE = Figure(
    name="samples",
    caption="Images of each class and part, resized as the networks receive them.",
    draw=samples,
    variants=lambda study: {"": ()} if study.manifest.show_images else {},
    position=2,
    photo=True,
)
