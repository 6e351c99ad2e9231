"""One look for all figures, and the line under each that says what data and weights it shows.

seaborn is imported by the functions that use it: explanations need only `save`, and its import takes longer than LIME
for a small network.
"""

import io
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import PIL.Image
from matplotlib.text import Text

DPI = 110
COLOURS = 256
NOTE_CHARACTERS = 19  # of small print per inch
PALETTE = "colorblind"


def colours(values) -> dict:
    """A colour for each distinct value, in order of appearance."""
    import seaborn as sns

    distinct = list(dict.fromkeys(values))
    return dict(
        zip(distinct, sns.color_palette(PALETTE if len(distinct) <= 10 else "husl", len(distinct)), strict=True)
    )


def use() -> None:
    import seaborn as sns

    sns.set_theme(style="whitegrid", palette=PALETTE, font_scale=0.9)


def within(axis, lowest: float, highest: float) -> None:
    """Show of an axis only what can be: the interval of two scattered seeds goes far beyond 100 %."""
    low, high = axis.get_view_interval()
    margin = 0.03 * (highest - lowest)
    axis.axes.set(**{f"{axis.axis_name}lim": (max(low, lowest - margin), min(high, highest + margin))})


def save(figure, path: Path, note: str) -> None:
    """Write a PNG with `note` in small print below it."""
    for text in figure.findobj(Text):
        # a dollar in a name is a dollar; ticks, which have no text yet, may be powers of ten, which are mathematics
        if "$" in text.get_text() and "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)
    # a constrained layout moves things whenever it is drawn: once is enough, and the note is no part of it
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)
    width, height = figure.get_size_inches()
    note = textwrap.fill(note, int(width * NOTE_CHARACTERS))
    below = figure.get_tightbbox().y0 - 0.08  # inches
    figure.text(0.01, below / height, note, fontsize=7, color="0.4", ha="left", va="top")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    # a palette is enough for a chart and makes pages less than half as large; no software version or date inside,
    # so that the same numbers give the same bytes. Median cut would merge the hues of thin lines, which name things
    with PIL.Image.open(drawn) as image:
        palette = {"method": PIL.Image.Quantize.MAXCOVERAGE, "dither": PIL.Image.Dither.NONE}
        image.convert("RGB").quantize(COLOURS, **palette).save(path, "PNG", optimize=True)
