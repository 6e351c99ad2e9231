"""Figures that compare cells: the grid as a heat map, the ranking, the best and worst of each model."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from medgrid.evaluation.labels import setting_name
from medgrid.report.figures import style
from medgrid.report.study import Study, settings_in, where

WIDTH = 11.0  # inches of a heat map, at most, if it has several panels
COLUMN = 70  # cells of a ranking in one column, at most
LOW = "0.93"  # grey of a cell that is not in the grid


def _combinations(study: Study, cells: pd.DataFrame, axes: list[str]) -> list[tuple]:
    """The settings of some axes that these cells have, in order."""
    present = set(settings_in(cells, axes))
    return [each for each in itertools.product(*(study.values[axis] for axis in axes)) if each in present]


def _layout(study: Study) -> tuple[list[str], list[str], list[str]]:
    """Which axes are panels, rows and columns of the heat map."""
    axes = study.varied
    panels, rest = (axes[:1], axes[1:]) if len(axes) > 2 else ([], axes)
    columns = max(1, len(rest) // 2)
    return panels, rest[:-columns], rest[-columns:]


def _tabulate(
    study: Study, cells: pd.DataFrame, rows: list[str], columns: list[str], values: pd.Series
) -> pd.DataFrame:
    index, header = _combinations(study, cells, rows), _combinations(study, cells, columns)
    table = pd.DataFrame(np.nan, index=range(len(index)), columns=range(len(header)), dtype=values.dtype)
    for cell, row in cells.iterrows():
        table.iloc[index.index(tuple(row[rows])), header.index(tuple(row[columns]))] = values[cell]
    return table


def heatmap(study: Study):
    """Mean test accuracy of every cell."""
    values = 100.0 * study.best["test_accuracy_mean"]  # whole numbers are read as such
    marks = np.where(study.best["diverged"] > 0, "*", "")
    texts = (values.map("{:.1f}".format) + marks).where(values.notna(), "div.")
    panel_axes, rows, columns = _layout(study)
    panels = _combinations(study, study.cells, panel_axes)
    insides = [where(study.cells, panel_axes, panel) for panel in panels]
    shapes = [(len(_combinations(study, c, rows)), len(_combinations(study, c, columns))) for c in insides]
    side, tall = (0.85 if len(columns) > 1 else 0.75), 0.36  # inches of a cell

    def longest(axes: list[str]) -> int:
        return max(len(" · ".join(each)) for cells in insides for each in _combinations(study, cells, axes))

    slanted = longest(columns) * 0.07 > side
    beside, below = 0.6 + 0.07 * longest(rows), 1.5 if slanted else 0.95  # inches for labels
    spans = [side * wide + beside for _, wide in shapes]
    lines: list[list[int]] = [[]]
    for i, span in enumerate(spans):
        if lines[-1] and sum(spans[j] for j in lines[-1]) + span > WIDTH:
            lines.append([])
        lines[-1].append(i)
    widest = max(sum(spans[i] for i in line) for line in lines)
    heights = [max(shapes[i][0] for i in line) * tall + below for line in lines]
    total = max(widest, 4.5), sum(heights) + 0.4
    figure = plt.figure(figsize=total)
    top = total[1] - 0.4
    for line, height in zip(lines, heights, strict=True):
        left = (total[0] - widest) / 2
        for i in line:
            count, wide = shapes[i]
            box = np.array([left + beside - 0.15, top - 0.3 - tall * count, side * wide, tall * count])
            axes = figure.add_axes(tuple(box / [*total, *total]))
            left += spans[i]
            arguments = (study, insides[i], rows, columns)
            shown = _tabulate(*arguments, values)
            words = _tabulate(*arguments, texts.astype(object)).fillna("")
            sns.heatmap(
                shown, annot=words, fmt="",
                cmap="Blues", vmin=values.min(), vmax=values.max(), ax=axes, cbar=False, linewidths=1,
                xticklabels=[" · ".join(each) for each in _combinations(study, insides[i], columns)],
                yticklabels=[" · ".join(each) for each in _combinations(study, insides[i], rows)] if rows else False,
                annot_kws={"fontsize": 8},
            )  # fmt: skip
            # seaborn writes nothing where there is no number
            for row, column in zip(*np.nonzero(shown.isna() & (words != "")), strict=True):
                axes.text(column + 0.5, row + 0.5, words.iloc[row, column], ha="center", va="center", fontsize=8)
            axes.set_facecolor(LOW)
            axes.grid(False)
            axes.set_xlabel(" · ".join(map(setting_name, columns)), fontsize=9)
            called = " · ".join(map(setting_name, rows))
            # a small panel has no package for it; its neighbours have
            axes.set_ylabel(called if len(called) * 0.07 < count * tall else "", fontsize=9)
            axes.set_title(panels[i][0] if panel_axes else "", fontsize=10)
            axes.tick_params(axis="y", rotation=0, labelsize=8)
            axes.tick_params(axis="x", labelsize=8)
            # upright or slanted as they fit; seaborn would turn them on their heads
            plt.setp(axes.get_xticklabels(), rotation=0)
            if slanted:
                plt.setp(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
        top -= height
    figure.suptitle("Test accuracy in %, mean over seeds", fontsize=11, y=1 - 0.05 / total[1])
    return figure, study.note(study.best)


def ranking(study: Study):
    """All cells by mean test accuracy, with 95 % intervals over seeds and every single replicate."""
    best = study.best.sort_values("test_accuracy_mean", ascending=False, kind="stable")
    single = study.replicates[study.replicates["checkpoint"] == "best"].groupby("cell")["test_accuracy"]
    single = {cell: 100 * values.to_numpy() for cell, values in single}
    columns = -(-len(best) // COLUMN)
    height = -(-len(best) // columns)
    step, size = (0.26, 8) if len(best) <= 30 else (0.18, 7)
    figure, grid = plt.subplots(
        1, columns, figsize=((7 if columns == 1 else 5.4 * columns), 1 + step * height), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    colours = style.colours(study.models)
    models = study.cells["model"] if "model" in study.cells else dict.fromkeys(study.cells.index)
    for column, axes in enumerate(grid[0]):
        shown = best.iloc[column * height : (column + 1) * height]
        for place, (cell, row) in enumerate(shown.iterrows()):
            mean, low, high = (100 * row[f"test_accuracy_{s}"] for s in ("mean", "low", "high"))
            axes.plot(single[cell], np.full(len(single[cell]), place), "|", color="0.4", ms=step * 27, alpha=0.8)
            axes.errorbar(
                mean, place, xerr=np.nan_to_num([[mean - low], [high - mean]]), fmt="o",
                color=colours[models[cell]], capsize=3, ms=4,
            )  # fmt: skip
        axes.set_yticks(range(len(shown)), [study.label(cell) for cell in shown.index], fontsize=size)
        axes.set_ylim(height - 0.5, -0.5)
        axes.set_xlabel("test accuracy in %")
        axes.set_title(study.header(), fontsize=8, color="0.3", loc="left")
    style.within(grid[0, 0].xaxis, 0, 100)
    sns.despine(figure, left=True)
    figure.suptitle("Ranking: mean and 95 % interval over seeds; bars: single seeds", fontsize=11)
    return figure, study.note(best)


def best_worst(study: Study):
    """Of each model the cells that validation ranks first and last, and what they score on the test set."""
    colours = style.colours(study.models)
    rows = []
    for model in study.models:
        scores = study.scores(model)
        if len(scores) > 1:
            rows += [(model, "best", scores.idxmax()), (model, "worst", scores.idxmin())]
    figure, axes = plt.subplots(figsize=(8.2, 1.3 + 0.32 * len(rows)), layout="constrained")
    for place, (model, rank, cell) in enumerate(rows):
        mean, low, high = (100 * study.best.loc[cell, f"test_accuracy_{s}"] for s in ("mean", "low", "high"))
        axes.errorbar(
            mean, place, xerr=np.nan_to_num([[mean - low], [high - mean]]), fmt="o" if rank == "best" else "s",
            color=colours[model], capsize=3, ms=6,
        )  # fmt: skip
        validation = 100 * study.best.loc[cell, "validation_accuracy_mean"]
        axes.plot(validation, place, "D", markerfacecolor="none", color="0.35", ms=5)
        if rank == "best" and place:
            axes.axhline(place - 0.5, color="0.85", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{study.label(cell)}  {rank}" for _, rank, cell in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("accuracy in %")
    style.within(axes.xaxis, 0, 100)
    axes.set_title(study.header(), fontsize=8, color="0.3", loc="left")
    looks = {"best, test": "o", "worst, test": "s"}
    handles = [plt.Line2D([], [], color="0.35", linestyle="", marker=marker) for marker in looks.values()]
    handles += [plt.Line2D([], [], color="0.35", linestyle="", marker="D", markerfacecolor="none")]
    figure.legend(handles, [*looks, "validation"], loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(f"Best and worst cell of each model by {study.settings['select'].replace('_', ' ')}", fontsize=11)
    sns.despine(figure, left=True)
    return figure, study.note(study.best.loc[[cell for *_, cell in rows]])
