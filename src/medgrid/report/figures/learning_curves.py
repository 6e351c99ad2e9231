"""Learning curves: a figure per model, or several where one would hold too many panels."""

import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure

from medgrid.evaluation.labels import describe_settings, setting_name
from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults, settings_in, where

PANELS = 6  # in one figure, at most
LEGEND = 8  # entries in a row
QUANTITIES = ("loss", "accuracy")
LINE_STYLES: dict[str, Any] = {"train": ":", "validation": "-"}
PANEL_WIDTH = {1: 5.2, 2: 4.2, 3: 3.3, 4: 2.7}  # inches, by number of columns


def colour_axis(study: LabelledResults, cells: pd.DataFrame) -> str | None:
    """The axis that lines compare within a panel: the number with the most values, else the last that varies."""
    candidates = [axis for axis in study.varied if axis != "model" and cells[axis].nunique() > 1]
    raw = study.manifest.cells
    numbers = [axis for axis in candidates if not any(isinstance(cell[axis], str | list) for cell in raw)]
    if numbers:
        return max(reversed(numbers), key=lambda axis: cells[axis].nunique())
    return candidates[-1] if candidates else None


def divide(cells: pd.DataFrame, axes: list[str]) -> list[pd.DataFrame]:
    """Cells of one figure each, with at most PANELS settings of `axes`.

    Where there are more, a figure for each value of the leading axis, and so on; neighbours that fit into one share
    it.
    """
    if len(settings_in(cells, axes)) <= PANELS or not axes:
        return [cells]
    pieces = [
        piece
        for _, group in cells.groupby(axes[0], sort=False)
        for piece in divide(group, axes[1:])
    ]  # fmt: skip
    merged = pieces[:1]
    for piece in pieces[1:]:
        together = pd.concat([merged[-1], piece])
        if len(settings_in(together, axes)) <= PANELS:
            merged[-1] = together
        else:
            merged.append(piece)
    return merged


def _panel_axes(study: LabelledResults, hue: str | None) -> list[str]:
    return [axis for axis in study.varied if axis not in ("model", hue)]


def curve_figures(study: LabelledResults) -> dict[str, tuple[pd.DataFrame, str | None]]:
    """By suffix of the figure's name, its cells and the axis that colours tell apart.

    Models of one panel each share a figure.
    """
    hue = colour_axis(study, study.grid)
    groups = {}
    if all(len(settings_in(study.grid_of(model), _panel_axes(study, hue))) == 1 for model in study.models):
        groups[""] = study.grid, hue, [axis for axis in study.varied if axis == "model"]
    else:
        for model in study.models:
            cells = study.grid_of(model)
            hue = colour_axis(study, cells)
            groups[model or ""] = cells, hue, _panel_axes(study, hue)
    figures = {}
    for name, (cells, hue, axes) in groups.items():
        pieces = divide(cells, axes)
        for i, piece in enumerate(pieces, start=1):
            suffix = "-".join(filter(None, (name, f"{i:02d}" if len(pieces) > 1 else "")))
            figures[suffix] = piece, hue
    return figures


@dataclass(frozen=True)
class Content:
    """What a figure shows: curves of some cells (rows of curves.csv), in panels by settings of `axes`."""

    table: pd.DataFrame
    cells: pd.DataFrame
    axes: list[str]
    panels: list[tuple]
    hue: str | None
    colours: dict[str, tuple]

    @property
    def columns(self) -> int:
        return len(self.panels) if len(self.panels) < 5 else 3

    @property
    def rows(self) -> int:
        return -(-len(self.panels) // self.columns)

    @property
    def loss_scale(self) -> str:
        losses = self.table[["train_loss_mean", "validation_loss_mean"]]
        return "log" if (losses.max() > 0).any() else "linear"


def _draw_line(axes: plt.Axes, of_cell: pd.DataFrame, curve: str, line_style: str, colour: tuple | str) -> None:
    """A mean and its band; where seeds have stopped early, the mean of the remaining ones continues, fainter."""
    epochs = of_cell["epoch"].to_numpy()
    mean, low, high = (of_cell[f"{curve}_{statistic}"].to_numpy() for statistic in ("mean", "min", "max"))
    whole = int((of_cell["seeds"] == of_cell["seeds"].max()).sum())
    axes.plot(epochs[:whole], mean[:whole], line_style, color=colour, linewidth=1.2)
    axes.plot(epochs[whole - 1 :], mean[whole - 1 :], line_style, color=colour, linewidth=0.8, alpha=0.5)
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_panel(column: np.ndarray, content: Content, panel: tuple) -> None:
    """Loss and accuracy of the cells of one panel, into the two axes of `column`."""
    for cell in where(content.cells, content.axes, panel).index:
        of_cell = content.table[content.table["cell"] == cell]
        colour = content.colours[content.cells.loc[cell, content.hue]] if content.hue else "C0"
        for axes, quantity in zip(column, QUANTITIES, strict=True):
            for part, line_style in LINE_STYLES.items():
                _draw_line(axes, of_cell, f"{part}_{quantity}", line_style, colour)
    title = describe_settings(dict(zip(content.axes, panel, strict=True)))
    column[0].set_title(textwrap.fill(title, int(12 * PANEL_WIDTH[content.columns])), fontsize=9)
    column[1].set_xlabel("epoch")


def _draw_row(figure: SubFigure, content: Content, panels: list[tuple]) -> np.ndarray:
    """A row of panels; returns the first axes of losses and of accuracies."""
    grid = figure.subplots(2, content.columns, squeeze=False, sharex=True, sharey="row")
    for column, panel in zip(grid.T, panels, strict=False):
        _draw_panel(column, content, panel)
    for axes in grid[:, len(panels) :].flat:
        axes.set_axis_off()
    grid[0, 0].set(ylabel="loss", yscale=content.loss_scale)
    grid[1, 0].set(ylabel="accuracy")
    return grid[:, 0]


def _share_limits(rows: list[np.ndarray]) -> None:
    """The same scale in every row of panels."""
    for first in zip(*rows, strict=True):
        limits = [axes.get_ylim() for axes in first]
        for axes in first:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    for _, accuracy in rows:
        accuracy.set_ylim(None, 1.0)


def _add_legend(figure: plt.Figure, content: Content) -> None:
    hue = content.hue
    present = [value for value in content.colours if hue and (content.cells[hue] == value).any()]
    handles = [plt.Line2D([], [], color=content.colours[value]) for value in present]
    handles += [plt.Line2D([], [], color="0.3", linestyle=line_style) for line_style in LINE_STYLES.values()]
    labels = [*present, *LINE_STYLES]
    figure.legend(
        handles, labels, title=setting_name(hue) if hue else None, loc="outside lower center",
        ncols=min(len(labels), LEGEND), frameon=False,
    )  # fmt: skip


def curves(study: LabelledResults, cells: pd.DataFrame, hue: str | None) -> Drawn:
    """Loss above accuracy by epoch: a pair of panels per setting, a colour per value of the axis `hue`."""
    constant = [axis for axis in study.varied if axis != hue and cells[axis].nunique() == 1]
    axes = [axis for axis in study.varied if axis != hue and axis not in constant]
    table = study.table("curves")
    table = table[table["cell"].isin(cells.index)]
    colours = style.colours(study.values[hue]) if hue else {}
    content = Content(table, cells, axes, settings_in(cells, axes), hue, colours)
    columns, rows = content.columns, content.rows
    size = 0.8 + PANEL_WIDTH[columns] * columns, 5.2 * rows
    figure = plt.figure(figsize=size, layout="constrained")
    # a subfigure for each row of panels, so that each row keeps its titles and its epochs
    first_axes = [
        _draw_row(subfigure, content, content.panels[row * columns : (row + 1) * columns])
        for row, subfigure in enumerate(figure.subfigures(rows, 1, squeeze=False)[:, 0])
    ]
    _share_limits(first_axes)
    _add_legend(figure, content)
    title = " of ".join(filter(None, ("Learning curves", describe_settings(dict(cells[constant].iloc[0])))))
    figure.suptitle(f"{title}\nmean over seeds, lowest to highest", fontsize=11)
    return figure, study.note(table)


FIGURE = Figure(
    name="curves",
    caption="Loss and accuracy after each epoch: mean over seeds, with a band from the lowest to the highest. Where "
    "some seeds have stopped early, the mean of the remaining ones continues as a fainter line.",
    draw=curves,
    variants=curve_figures,
    heading="learning curves",
    section="curves",
)
