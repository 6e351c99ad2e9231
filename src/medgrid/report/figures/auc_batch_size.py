"""Test AUC against batch size."""

import itertools
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import FixedLocator, NullLocator

from medgrid.evaluation.labels import describe_settings
from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults, settings_in, where

MARKERS = ("o", "s", "^", "D", "v", "P")
LINE_STYLES = ("-", "--", ":", "-.")
METRIC = "test_auc_macro"
BATCH_SIZES = 3  # from which a trend can be seen
PANELS = 4  # where more are needed, the lines of a panel differ in two settings
COLUMNS = 3


def _other_axes(study: LabelledResults) -> list[str]:
    return [axis for axis in study.varied if axis != "batch_size"]


def comparable(study: LabelledResults) -> pd.DataFrame:
    """The cells that differ from another one in batch size alone; others make no line."""
    others = _other_axes(study)
    if not others:
        return study.grid
    return study.grid[study.grid.groupby(others, sort=False)["batch_size"].transform("nunique") > 1]


def _assign_axes(study: LabelledResults) -> tuple[list[str], list[str]]:
    """Axes that panels differ in, and one or two that the lines of a panel differ in."""
    others = _other_axes(study)
    inside = others[-1:] if len(settings_in(study.grid, others[:-1])) <= PANELS else others[-2:]
    return others[: len(others) - len(inside)], inside


@dataclass(frozen=True)
class Looks:
    """Colours and styles of lines by the values of their settings, markers by the source of published numbers."""

    axes: list[str]
    colours: dict[str, tuple]
    styles: dict[str, str]
    markers: dict[str, str]

    def line(self, values: tuple) -> tuple[tuple | str, str]:
        """Colour and style of the line of these settings."""
        return self.colours[values[0]] if self.axes else "C0", self.styles[values[1]] if self.styles else "-"

    def legend(self) -> tuple[list[plt.Line2D], list[str]]:
        """Handles and labels of the legend."""
        hollow: dict[str, Any] = {"color": "0.35", "markerfacecolor": "none", "linestyle": "", "ms": 7}
        entries: list[tuple[str, dict[str, Any]]] = [
            (describe_settings({self.axes[0]: value}), {"color": colour, "marker": ".", "ms": 7})
            for value, colour in self.colours.items()
        ]
        entries += [
            (describe_settings({self.axes[1]: value}), {"color": "0.35", "linestyle": line})
            for value, line in self.styles.items()
        ]
        entries += [(f"published: {source}", hollow | {"marker": marker}) for source, marker in self.markers.items()]
        return [plt.Line2D([], [], **look) for _, look in entries], [label for label, _ in entries]


def _looks(study: LabelledResults, cells: pd.DataFrame, axes: list[str], published: pd.DataFrame) -> Looks:
    present = [[value for value in study.values[axis] if (cells[axis] == value).any()] for axis in axes]
    return Looks(
        axes,
        style.colours(present[0]) if axes else {},
        dict(zip(present[1], itertools.cycle(LINE_STYLES), strict=False)) if len(axes) > 1 else {},
        dict(zip(published["source"].unique(), itertools.cycle(MARKERS), strict=False)),
    )


def _draw_line(axes: plt.Axes, rows: pd.DataFrame, published: pd.DataFrame, looks: Looks, values: tuple) -> None:
    """Mean and interval of some rows of cells.csv by batch size, and the published numbers of these cells."""
    colour, line_style = looks.line(values)
    sizes = rows["batch_size"].astype(int)
    rows = rows.assign(batch_size=sizes).sort_values("batch_size")
    mean, low, high = (rows[f"{METRIC}_{statistic}"] for statistic in ("mean", "low", "high"))
    axes.plot(rows["batch_size"], mean, line_style, color=colour, marker=".", ms=7)
    axes.fill_between(rows["batch_size"], low, high, color=colour, alpha=0.15, linewidth=0)
    for source, points in published[published["cell"].isin(rows.index)].groupby("source", sort=False):
        marker = looks.markers[str(source)]
        axes.plot(
            sizes[points["cell"]], points["published"], marker, color=colour, markerfacecolor="none", ms=7,
            markeredgewidth=1.4, linestyle="",
        )  # fmt: skip


def _label_sizes(axes: plt.Axes, sizes: pd.Series) -> None:
    ticks = sorted(sizes.astype(int).unique())
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(ticks)
    axes.set_xlabel("batch size")


def auc_batch_size(study: LabelledResults) -> Drawn:
    """A line for each setting of the other axes; the document's own numbers as hollow marks."""
    outside, inside = _assign_axes(study)
    cells = comparable(study)
    panels = settings_in(cells, outside)
    published = study.table("published")
    published = published[(published["metric"] == METRIC) & published["cell"].isin(cells.index)]
    looks = _looks(study, cells, inside, published)
    columns = min(len(panels), COLUMNS)
    rows = -(-len(panels) // columns)
    size = 1 + (5.6 if columns == 1 else 4.4) * columns, 3.8 * rows
    figure, grid = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        members = where(cells, outside, panel)
        for values, of_line in members.groupby(inside, sort=False) if inside else [((), members)]:
            _draw_line(axes, study.best.loc[of_line.index], published, looks, values)
        _label_sizes(axes, cells["batch_size"])
        axes.set_title(describe_settings(dict(zip(outside, panel, strict=True))), fontsize=9)
    for axes in grid[:, 0]:
        axes.set_ylabel("test AUC (mean of classes)")
    style.limit_view(grid[0, 0], "y", 0, 1)
    handles, labels = looks.legend()
    if labels:
        figure.legend(handles, labels, ncols=2, **style.BELOW)
    figure.suptitle("Test AUC against batch size: mean and 95 % interval over seeds", fontsize=11)
    return figure, study.note(study.best.loc[cells.index])


def _applies(study: LabelledResults) -> bool:
    varies = "batch_size" in study.varied and len(study.values["batch_size"]) >= BATCH_SIZES
    return varies and len(comparable(study)) > 0


FIGURE = Figure(
    name="auc_batch_size",
    caption="Area under the ROC curve on the test set, at the best epoch by validation. Hollow marks: published "
    "values.",
    draw=auc_batch_size,
    variants=lambda study: {"": ()} if _applies(study) else {},
    position=3,
)
