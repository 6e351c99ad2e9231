"""The grid of a study as heat maps of test accuracy."""

import itertools
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from medgrid.evaluation.labels import setting_name
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults, settings_in, where

# inches
WIDTH = 11.0  # of a figure with several panels, at most
CELL_HEIGHT = 0.36
CHARACTER = 0.07
ABSENT_GREY = "0.93"  # of combinations that are no cell of the grid


def _combinations(study: LabelledResults, cells: pd.DataFrame, axes: list[str]) -> list[tuple]:
    """The combinations of settings on some axes that these cells have, in the order of the grid."""
    present = set(settings_in(cells, axes))
    return [each for each in itertools.product(*(study.values[axis] for axis in axes)) if each in present]


def _labels(combinations: list[tuple]) -> list[str]:
    return [" · ".join(each) for each in combinations]


def _assign_axes(study: LabelledResults) -> tuple[list[str], list[str], list[str]]:
    """Axes of the study that are panels, rows and columns."""
    axes = study.varied
    panels, rest = (axes[:1], axes[1:]) if len(axes) > 2 else ([], axes)
    columns = max(1, len(rest) // 2)
    return panels, rest[:-columns], rest[-columns:]


@dataclass(frozen=True)
class Panel:
    """One heat map: its cells, and the combinations that are its rows and columns."""

    title: str
    cells: pd.DataFrame
    rows: list[tuple]
    columns: list[tuple]
    row_axes: list[str]
    column_axes: list[str]

    def table(self, values: pd.Series) -> pd.DataFrame:
        """Values by cell as rows and columns of this panel; missing where there is no cell."""
        rows, columns = range(len(self.rows)), range(len(self.columns))
        table = pd.DataFrame(np.nan, index=rows, columns=columns, dtype=values.dtype)
        for cell, row in self.cells.iterrows():
            index, column = tuple(row[self.row_axes]), tuple(row[self.column_axes])
            table.iloc[self.rows.index(index), self.columns.index(column)] = values[str(cell)]
        return table


def _panels(study: LabelledResults) -> list[Panel]:
    panel_axes, rows, columns = _assign_axes(study)
    panels = []
    for settings in _combinations(study, study.grid, panel_axes):
        cells = where(study.grid, panel_axes, settings)
        title = settings[0] if panel_axes else ""
        shape = _combinations(study, cells, rows), _combinations(study, cells, columns)
        panels.append(Panel(title, cells, *shape, rows, columns))
    return panels


@dataclass(frozen=True)
class Layout:
    """Size of the figure, and the box (left, bottom, width, height) of each panel, in inches."""

    size: tuple[float, float]
    boxes: list[np.ndarray]
    slanted: bool  # labels of columns


def _wrap(spans: list[float]) -> list[list[int]]:
    """Indices of panels in lines of at most WIDTH inches; `spans`: width of each panel."""
    lines: list[list[int]] = [[]]
    for i, span in enumerate(spans):
        if lines[-1] and sum(spans[j] for j in lines[-1]) + span > WIDTH:
            lines.append([])
        lines[-1].append(i)
    return lines


def _arrange(panels: list[Panel]) -> Layout:
    """Panels from left to right, in as many lines as they need, with space for their labels."""
    cell_width = 0.85 if len(panels[0].column_axes) > 1 else 0.75
    slanted = max(len(each) for panel in panels for each in _labels(panel.columns)) * CHARACTER > cell_width
    row_label = 0.6 + CHARACTER * max(len(each) for panel in panels for each in _labels(panel.rows))
    column_label = 1.5 if slanted else 0.95
    spans = [cell_width * len(panel.columns) + row_label for panel in panels]
    lines = _wrap(spans)
    widest = max(sum(spans[i] for i in line) for line in lines)
    heights = [max(len(panels[i].rows) for i in line) * CELL_HEIGHT + column_label for line in lines]
    size = max(widest, 4.5), sum(heights) + 0.4
    top, boxes = size[1] - 0.4, []
    for line, height in zip(lines, heights, strict=True):
        left = (size[0] - widest) / 2
        for i in line:
            tall, wide = CELL_HEIGHT * len(panels[i].rows), cell_width * len(panels[i].columns)
            boxes.append(np.array([left + row_label - 0.15, top - 0.3 - tall, wide, tall]))
            left += spans[i]
        top -= height
    return Layout(size, boxes, slanted)


def _draw_cells(axes: plt.Axes, panel: Panel, values: pd.Series, texts: pd.Series) -> None:
    shown, words = panel.table(values), panel.table(texts.astype(object)).fillna("")
    sns.heatmap(
        shown, annot=words, fmt="",
        cmap="Blues", vmin=values.min(), vmax=values.max(), ax=axes, cbar=False, linewidths=1,
        xticklabels=_labels(panel.columns), yticklabels=_labels(panel.rows) if panel.row_axes else False,
        annot_kws={"fontsize": 8},
    )  # fmt: skip
    # seaborn writes nothing where there is no number
    for row, column in zip(*np.nonzero(shown.isna() & (words != "")), strict=True):
        axes.text(column + 0.5, row + 0.5, words.iloc[row, column], ha="center", va="center", fontsize=8)
    axes.set_facecolor(ABSENT_GREY)
    axes.grid(False)


def _label(axes: plt.Axes, panel: Panel, slanted: bool) -> None:
    axes.set_xlabel(" · ".join(map(setting_name, panel.column_axes)), fontsize=9)
    row_name = " · ".join(map(setting_name, panel.row_axes))
    # a small panel has no space for it; its neighbours have
    axes.set_ylabel(row_name if len(row_name) * CHARACTER < len(panel.rows) * CELL_HEIGHT else "", fontsize=9)
    axes.set_title(panel.title, fontsize=10)
    axes.tick_params(axis="y", rotation=0, labelsize=8)
    axes.tick_params(axis="x", labelsize=8)
    # horizontal or slanted as they fit; seaborn would set them vertically
    plt.setp(axes.get_xticklabels(), rotation=0)
    if slanted:
        plt.setp(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")


def heatmap(study: LabelledResults) -> Drawn:
    """Mean test accuracy of every cell."""
    # of whole numbers, pandas reads integers
    values = (100.0 * study.best["test_accuracy_mean"]).where(study.best["diverged"] < study.best["replicates"])
    marks = np.where(study.best["diverged"] > 0, "*", "")
    texts = [f"{value:.1f}{mark}" for value, mark in zip(values, marks, strict=True)]
    texts = pd.Series(texts, values.index).where(values.notna(), "div.")
    panels = _panels(study)
    layout = _arrange(panels)
    figure = plt.figure(figsize=layout.size)
    for panel, box in zip(panels, layout.boxes, strict=True):
        axes = figure.add_axes(tuple(box / [*layout.size, *layout.size]))
        _draw_cells(axes, panel, values, texts)
        _label(axes, panel, layout.slanted)
    figure.suptitle("Test accuracy in %, mean over seeds", fontsize=11, y=1 - 0.05 / layout.size[1])
    return figure, study.note(study.best)


FIGURE = Figure(
    name="heatmap",
    caption="Mean test accuracy over the grid, at the best epoch by validation. Grey: no such cell. div.: every "
    "replicate diverged. *: some replicates diverged and count as chance.",
    draw=heatmap,
    section="results",
    position=2,
)
