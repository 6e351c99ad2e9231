"""The common style of all figures, and the note under each that names its data and weights.

seaborn is imported by the functions that use it: explanations need only `save`, and importing seaborn takes longer
than LIME for a small network.
"""

import io
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
from matplotlib.text import Text

DPI = 110
COLOURS = 256
NOTE_CHARACTERS = 19  # of small print per inch
PALETTE = "colorblind"
# of legends below the axes, above the note
BELOW: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "fontsize": 8}
# of legends to the right of the axes
RIGHT: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "frameon": False, "fontsize": 8}


def use() -> None:
    """Set matplotlib's defaults."""
    import seaborn as sns

    sns.set_theme(style="whitegrid", palette=PALETTE, font_scale=0.9)


def colours(values: Iterable) -> dict:
    """A colour for each distinct value, in order of appearance."""
    import seaborn as sns

    distinct = list(dict.fromkeys(values))
    palette = sns.color_palette(PALETTE if len(distinct) <= 10 else "husl", len(distinct))
    return dict(zip(distinct, palette, strict=True))


def limit_view(axes: plt.Axes, axis: Literal["x", "y"], lowest: float, highest: float) -> None:
    """Restrict an axis to possible values: the interval of two seeds that differ much goes far beyond 100 %."""
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    margin = 0.03 * (highest - lowest)
    axes.set(**{f"{axis}lim": (max(low, lowest - margin), min(high, highest + margin))})


def draw_lookup(axes: plt.Axes, values: np.ndarray | None) -> None:
    """A dotted line at the nearest-thumbnail lookup, in per cent of `lookup_values`; none without a lookup."""
    if values is not None:
        axes.axvline(100 * values.mean(), color="0.35", linestyle=":", linewidth=1.4, zorder=1)


def in_percent(row: pd.Series, metric: str = "test_accuracy") -> tuple[float, float, float]:
    """Mean and 95 % interval of a share in a row of cells.csv, in per cent."""
    return 100 * row[f"{metric}_mean"], 100 * row[f"{metric}_low"], 100 * row[f"{metric}_high"]


def error_bar(mean: float, low: float, high: float) -> np.ndarray:
    """Distances [2, 1] of the ends of an interval from its mean, for `errorbar`; 0 where there is no interval."""
    return np.nan_to_num([[mean - low], [high - mean]])


def _escape_dollars(figure: plt.Figure) -> None:
    """A dollar sign in a name is text; ticks, which have no text yet, may be powers of ten, which are mathematics."""
    for text in figure.findobj(Text):
        if "$" in text.get_text() and "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)


def _freeze_layout(figure: plt.Figure) -> None:
    """Lay out a figure once: a constrained layout changes with each drawing, and the note is no part of it."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)


def save(figure: plt.Figure, path: Path, note: str) -> None:
    """Write a PNG with `note` in small print below it, and close the figure. Equal figures give equal bytes."""
    _escape_dollars(figure)
    _freeze_layout(figure)
    width, height = figure.get_size_inches()
    note = textwrap.fill(note, int(width * NOTE_CHARACTERS))
    below = figure.get_tightbbox().y0 - 0.08  # inches
    figure.text(0.01, below / height, note, fontsize=7, color="0.4", ha="left", va="top")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    # A palette is enough for a chart and makes files less than half as large; the file names no software version and
    # no date. Median cut would merge the hues of thin lines, which tell them apart
    with PIL.Image.open(drawn) as image:
        palette = {"method": PIL.Image.Quantize.MAXCOVERAGE, "dither": PIL.Image.Dither.NONE}
        image.convert("RGB").quantize(COLOURS, **palette).save(path, "PNG", optimize=True)
