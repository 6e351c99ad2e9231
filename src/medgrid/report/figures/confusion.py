"""Confusion matrices of the selected cells."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

COLUMNS = 3  # matrices in a row, except for four of them


def _shares(study: LabelledResults, counts: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Per cent of each true class (rows) by predicted class (columns), mean over seeds."""
    table = counts[counts["cell"] == cell].pivot_table("images", "class", "predicted", aggfunc="mean")
    table = table.loc[study.classes, study.classes]
    # a class without test images has no shares
    return 100 * table.div(table.sum(axis=1).where(lambda total: total > 0), axis=0)


def _draw_matrix(axes: plt.Axes, shares: pd.DataFrame, title: str, leftmost: bool) -> None:
    sns.heatmap(
        shares, annot=True, fmt=".1f", cmap="Blues", vmin=0, vmax=100, cbar=False, square=True, ax=axes,
        annot_kws={"fontsize": 8},
    )  # fmt: skip
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true" if leftmost else "", fontsize=9)
    axes.set_title(textwrap.fill(title, 30), fontsize=8)
    axes.tick_params(axis="x", rotation=30, labelsize=8)
    axes.tick_params(axis="y", rotation=0, labelsize=8)


def _grid(study: LabelledResults) -> tuple[plt.Figure, np.ndarray]:
    """A figure with a square for each model, as wide as the names of the classes need."""
    columns = 2 if len(study.models) == 4 else min(COLUMNS, len(study.models))
    rows = -(-len(study.models) // columns)
    longest, side = max(map(len, study.classes)), 0.6 * len(study.classes)
    width, height = max(side + 0.5 + 0.075 * longest, 2.3), side + 1.1 + 0.04 * longest
    size = max(0.3 + width * columns, 4.2), 0.5 + height * rows
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def confusion(study: LabelledResults) -> Drawn:
    """For the selected cell of each model: per cent of the true class, mean over seeds."""
    counts = study.table("confusion")
    counts = counts[counts["checkpoint"] == "best"]
    figure, grid = _grid(study)
    for axes in grid.flat[len(study.models) :]:
        axes.set_axis_off()
    for axes, model in zip(grid.flat, study.models, strict=False):
        cell = study.best_cell(model)
        if cell is None:
            title = textwrap.fill(f"{model or ''} replicates diverged in every cell", 26)
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
        else:
            _draw_matrix(axes, _shares(study, counts, cell), study.label(cell), axes in grid[:, 0])
    title = ("Confusion in % of the true class, mean over seeds", study.header())
    figure.suptitle("\n".join(filter(None, title)), fontsize=11)
    return figure, study.note(study.table("cells"))


FIGURE = Figure(
    name="confusion",
    caption="Errors of the selected cells: for each model, the cell that is best by validation.",
    draw=confusion,
    section="classes",
    position=1,
)
