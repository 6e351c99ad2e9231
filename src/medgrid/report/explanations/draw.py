"""Figures of explanations: the test image, and a panel for each network."""

import textwrap
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from skimage.segmentation import find_boundaries

from medgrid.report.explanations.attribution import strongest
from medgrid.report.explanations.compute import Example
from medgrid.report.explanations.select import Panel

SHOWN = 10  # superpixels, those with the largest absolute weight
COLUMNS = 4
ROUNDING = 1e-6  # a weight below is rounding: the prediction is the same whatever is left out
SUPPORTING, OPPOSING = (0.0, 0.75, 0.2), (0.9, 0.1, 0.1)
LIME_TITLE = f"LIME: the {SHOWN} superpixels with the largest weight, green for and red against the predicted class"
GRADCAM_TITLE = "Grad-CAM: support for the predicted class in the last feature map, from blue (none) to red"


def show_lime(panel: Panel, axes: plt.Axes, segments: np.ndarray) -> str:
    """Draw the strongest superpixels on the image; returns a remark on the panel."""
    weights = panel.weights
    if weights is None or not np.abs(weights).max() > ROUNDING:
        return "no superpixel has an effect"
    layer = np.zeros((*segments.shape, 4))
    for number in strongest(weights, SHOWN):
        inside = segments == number
        layer[inside] = (*(SUPPORTING if weights[number] > 0 else OPPOSING), 0.35)
        layer[inside & find_boundaries(inside, mode="inner"), 3] = 0.9
    axes.imshow(layer)
    return ""


def show_cam(panel: Panel, axes: plt.Axes) -> str:
    """Draw the Grad-CAM map over the image; returns a remark on the panel."""
    if panel.cam is None:
        return "no feature map"
    values, sides = panel.cam
    if not values.max() > 0:
        return "no region supports it"
    axes.imshow(values / values.max(), cmap="turbo", vmin=0, vmax=1, alpha=0.45)  # blue to red, as is usual
    return f"map of {sides[0]} x {sides[1]}"


def _draw_panel(
    axes: plt.Axes, panel: Panel, image: np.ndarray, label: str, show: Callable[[Panel, plt.Axes], str]
) -> None:
    axes.imshow(image, alpha=0.15 if panel.reason else 1.0)
    lines = [f"{panel.model}, {panel.mode.replace('_', ' ')}"]
    if panel.reason:
        axes.text(0.5, 0.5, textwrap.fill(panel.reason, 28), transform=axes.transAxes, fontsize=8, ha="center")
    else:
        remark = show(panel, axes)
        lines += [f"predicted: {panel.prediction}", f"true: {label}{f'; {remark}' if remark else ''}"]
    axes.set_title("\n".join(lines), fontsize=8)


def draw(panels: list[Panel], example: Example, title: str, show: Callable[[Panel, plt.Axes], str]) -> plt.Figure:
    """The image, then a panel for each network: `show` draws on the image and returns a remark."""
    columns = min(COLUMNS, len(panels) + 1)
    rows = -(-(len(panels) + 1) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.6 * columns, 3.2 * rows + 0.4), squeeze=False)
    figure.set_layout_engine("constrained", h_pad=0.1)
    for axes in grid.flat:
        axes.set_axis_off()
    image = example.pixels.numpy()
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    grid.flat[0].imshow(image)
    grid.flat[0].set_title(f"test image\ntrue: {example.label}", fontsize=8)
    for axes, panel in zip(grid.flat[1:], panels, strict=False):
        _draw_panel(axes, panel, image, example.label, show)
    figure.suptitle(textwrap.fill(title, int(26 * columns)), fontsize=10)
    return figure
