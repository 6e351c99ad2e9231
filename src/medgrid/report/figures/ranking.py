"""All cells in order of test accuracy."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from medgrid.evaluation.lookup import lookup_values
from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

COLUMN = 70  # cells in one column, at most


def _draw_column(axes: plt.Axes, study: LabelledResults, shown: pd.DataFrame, step: float) -> None:
    """Mean, interval and single replicates of some cells; `step`: inches between two of them."""
    replicates = study.best_replicates.groupby("cell")["test_accuracy"]
    single = {str(cell): 100 * values.to_numpy() for cell, values in replicates}
    colours = style.colours(study.models)
    verdicts = study.table("lookup").set_index("cell")["verdict"]
    for y, cell in enumerate(shown["cell"]):
        mean, low, high = style.in_percent(study.best_row(cell))
        axes.plot(single[cell], np.full(len(single[cell]), y), "|", color="0.4", ms=step * 27, alpha=0.8)
        colour = colours[study.settings_of(cell).get("model")]
        fill = colour if verdicts.get(cell, "above") == "above" else "white"
        bar = style.error_bar(mean, low, high)
        axes.errorbar(mean, y, xerr=bar, fmt="o", color=colour, markerfacecolor=fill, capsize=3, ms=4)


def ranking(study: LabelledResults) -> Drawn:
    """All cells by mean test accuracy, with 95 % intervals over seeds and every single replicate."""
    best = study.best.sort_values("test_accuracy_mean", ascending=False, kind="stable")
    columns = -(-len(best) // COLUMN)
    height = -(-len(best) // columns)
    step, size = (0.26, 8) if len(best) <= 30 else (0.18, 7)
    figure, grid = plt.subplots(
        1, columns, figsize=((7 if columns == 1 else 5.4 * columns), 1 + step * height), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    baseline = lookup_values(study, "test_accuracy")
    for column, axes in enumerate(grid[0]):
        shown = best.iloc[column * height : (column + 1) * height]
        _draw_column(axes, study, shown, step)
        style.draw_lookup(axes, baseline)
        axes.set_yticks(range(len(shown)), [study.label(cell) for cell in shown.index], fontsize=size)
        axes.set_ylim(height - 0.5, -0.5)
        axes.set_xlabel("test accuracy in %")
        axes.set_title(study.header(), fontsize=8, color="0.3", loc="left")
    style.limit_view(grid[0, 0], "x", 0, 100)
    sns.despine(figure, left=True)
    figure.suptitle("Ranking: mean and 95 % interval over seeds; bars: single seeds", fontsize=11)
    return figure, study.note(best)


FIGURE = Figure(
    name="ranking",
    caption="Every cell of the grid by mean test accuracy. The interval covers the randomness of training (seeds), "
    "not the sampling of test images. Dotted line: the nearest-thumbnail lookup; a hollow point is not significantly "
    "above it (lookup.csv, over seeds and test images).",
    draw=ranking,
    section="results",
    position=1,
)
