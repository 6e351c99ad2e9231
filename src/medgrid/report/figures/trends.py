"""Figures of one quantity against another: batch size, number of parameters, time."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, NullLocator

from medgrid.evaluation.labels import describe, setting_name
from medgrid.report.figures import style
from medgrid.report.study import Study, read, settings_in, where

MARKERS = ("o", "s", "^", "D", "v", "P")
LOOKS = ("-", "--", ":", "-.")
METRIC = "test_auc_macro"
PANELS = 4  # where more are needed, lines differ in two settings
ACROSS = 3


def sized(study: Study) -> pd.DataFrame:
    """The cells that differ from another in batch size alone: what has one batch size makes no line."""
    others = [axis for axis in study.varied if axis != "batch_size"]
    if not others:
        return study.cells
    return study.cells[study.cells.groupby(others, sort=False)["batch_size"].transform("nunique") > 1]


def auc_batch_size(study: Study):
    """Test AUC against batch size: a line for each setting of the other axes, the document's own numbers hollow."""
    others = [axis for axis in study.varied if axis != "batch_size"]
    within = others[-1:] if len(settings_in(study.cells, others[:-1])) <= PANELS else others[-2:]
    outside = others[: len(others) - len(within)]
    cells = sized(study)
    panels = settings_in(cells, outside)
    published = read(study.folder / "published.csv")
    published = published[(published["metric"] == METRIC) & published["cell"].isin(cells.index)]
    sources = dict(zip(published["source"].unique(), itertools.cycle(MARKERS), strict=False))
    present = [[value for value in study.values[axis] if (cells[axis] == value).any()] for axis in within]
    colours = style.colours(present[0]) if within else {}
    looks = dict(zip(present[1], itertools.cycle(LOOKS), strict=False)) if len(within) > 1 else {}

    columns = min(len(panels), ACROSS)
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1 + (5.6 if columns == 1 else 4.4) * columns, 3.8 * rows), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, panel in itertools.zip_longest(grid.flat, panels):
        if panel is None:
            axes.set_axis_off()
            continue
        inside = where(cells, outside, panel)
        for values, members in inside.groupby(within, sort=False) if within else [((), inside)]:
            colour = colours[values[0]] if within else "C0"
            line = study.best.loc[members.index]
            sizes = line["batch_size"].astype(int)
            line = line.assign(batch_size=sizes).sort_values("batch_size")
            mean, low, high = (line[f"{METRIC}_{s}"] for s in ("mean", "low", "high"))
            look = looks[values[1]] if looks else "-"
            axes.plot(line["batch_size"], mean, look, color=colour, marker=".", ms=7)
            axes.fill_between(line["batch_size"], low, high, color=colour, alpha=0.15, linewidth=0)
            for source, points in published[published["cell"].isin(members.index)].groupby("source", sort=False):
                at = sizes[points["cell"]]
                axes.plot(
                    at, points["published"], sources[source], color=colour, markerfacecolor="none", ms=7,
                    markeredgewidth=1.4, linestyle="",
                )  # fmt: skip
        ticks = sorted(cells["batch_size"].astype(int).unique())
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels(ticks)
        axes.set_xlabel("batch size")
        axes.set_title(describe(dict(zip(outside, panel, strict=True))), fontsize=9)
    for axes in grid[:, 0]:
        axes.set_ylabel("test AUC (mean of classes)")
    style.within(grid[0, 0].yaxis, 0, 1)
    handles = [plt.Line2D([], [], color=colour, marker=".", ms=7) for colour in colours.values()]
    labels = [describe({within[0]: value}) for value in colours]
    handles += [plt.Line2D([], [], color="0.35", linestyle=look) for look in looks.values()]
    labels += [describe({within[1]: value}) for value in looks]
    marks = {"color": "0.35", "markerfacecolor": "none", "linestyle": "", "ms": 7}
    handles += [plt.Line2D([], [], marker=marker, **marks) for marker in sources.values()]
    labels += [f"published: {source}" for source in sources]
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.suptitle("Test AUC against batch size: mean and 95 % interval over seeds", fontsize=11)
    return figure, study.note(study.best.loc[cells.index])


def accuracy_parameters(study: Study):
    """The cell of each model that validation picks: test accuracy against the size of its network."""
    colours = style.colours(study.models)
    figure, axes = plt.subplots(figsize=(6.2, 4.2))
    shown = [cell for model in study.models if (cell := study.chosen(model)) in study.network_sizes.index]
    for cell in shown:
        colour = colours[study.cells.loc[cell, "model"]]
        mean, low, high = (100 * study.best.loc[cell, f"test_accuracy_{s}"] for s in ("mean", "low", "high"))
        every, trained = (float(study.network_sizes.loc[cell, name]) for name in ("parameters", "trainable"))
        axes.plot([trained, every], [mean, mean], color=colour, linewidth=1, alpha=0.6)
        axes.plot(trained, mean, "o", color=colour, markerfacecolor="white", ms=7)
        axes.errorbar(
            every, mean, yerr=np.nan_to_num([[mean - low], [high - mean]]), fmt="o", color=colour, capsize=3, ms=7,
            label=study.label(cell),
        )  # fmt: skip
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="parameters: all (filled), trained (hollow)", ylabel="test accuracy in %")
    style.within(axes.yaxis, 0, 100)
    axes.set_title("Accuracy against size, best cell of each model", fontsize=11)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=8, title=study.header(), title_fontsize=7
    )
    sns.despine(figure)
    return figure, study.note(study.best.loc[shown])


def speed_axis(study: Study) -> str | None:
    """What the speed of training is compared over: models, else batch sizes."""
    return next((axis for axis in ("model", "batch_size") if axis in study.varied), None)


def speed(study: Study):
    """Seconds per epoch of every cell."""
    axis = speed_axis(study)
    table = study.replicates[study.replicates["checkpoint"] == "best"]
    table = table.assign(each=table["seconds"] / table["epochs"].where(table["epochs"] > 0))
    of_cell = table.groupby("cell", sort=False)["each"].mean().rename("seconds").to_frame().join(study.cells)
    order = study.values[axis]
    colour = next((each for each in ("mode", "unfrozen") if each in study.varied and each != axis), None)
    figure, axes = plt.subplots(figsize=(6.8, 1.1 + 0.45 * len(order)))
    sns.stripplot(
        of_cell, x="seconds", y=axis, order=order, ax=axes, jitter=0.22, size=5, alpha=0.75,
        legend="full" if colour else False,
        hue=colour or axis, hue_order=study.values[colour or axis],
        palette=list(style.colours(study.values[colour or axis]).values()),
    )  # fmt: skip
    medians = of_cell.groupby(axis)["seconds"].median()
    for place, value in enumerate(order):
        if value in medians:
            axes.plot([medians[value]] * 2, [place - 0.32, place + 0.32], color="0.2", linewidth=2)
    if of_cell["seconds"].max() > 20 * of_cell["seconds"].min() > 0:
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, None)
    if colour:
        axes.legend(
            title=setting_name(colour), loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=8,
            title_fontsize=8,
        )  # fmt: skip
    axes.set(xlabel="seconds per epoch", ylabel="" if axis == "model" else setting_name(axis))
    axes.set_title("Training time: a dot per cell (mean over seeds), a bar at the median", fontsize=11)
    sns.despine(figure, left=True)
    devices = ", ".join(dict.fromkeys(job["training"]["device"] for job in study.jobs))
    return figure, f"{study.note(study.best)} · trained on: {devices}"


def is_timed(replicates: pd.DataFrame) -> bool:
    return bool((replicates["seconds"] > 0).any())
