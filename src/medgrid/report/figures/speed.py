"""Training time of every cell."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from medgrid.evaluation.labels import setting_name
from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults


def row_axis(study: LabelledResults) -> str | None:
    """The axis whose values are compared: models, else batch sizes."""
    return next((axis for axis in ("model", "batch_size") if axis in study.varied), None)


@contextmanager
def fixed_jitter() -> Iterator[None]:
    """Fix NumPy's global random state, with which seaborn scatters dots, so that equal numbers give equal figures."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def mean_seconds_per_epoch(study: LabelledResults) -> pd.DataFrame:
    """Settings of each cell, and `seconds` per epoch, mean over seeds."""
    table = study.best_replicates
    table = table.assign(per_epoch=table["seconds"] / table["epochs"].where(table["epochs"] > 0))
    return table.groupby("cell", sort=False)["per_epoch"].mean().rename("seconds").to_frame().join(study.grid)


def _draw_medians(axes: plt.Axes, medians: pd.Series, order: list[str]) -> None:
    for y, value in enumerate(order):
        if value in medians:
            axes.plot([medians[value]] * 2, [y - 0.32, y + 0.32], color="0.2", linewidth=2)


def speed(study: LabelledResults, rows: str) -> Drawn:
    """Seconds per epoch of every cell: a row of dots for each value of the axis `rows`, coloured by mode."""
    order, table = study.values[rows], mean_seconds_per_epoch(study)
    hue = next((axis for axis in ("mode", "unfrozen") if axis in study.varied and axis != rows), None)
    hues = study.values[hue or rows]
    figure, axes = plt.subplots(figsize=(6.8, 1.1 + 0.45 * len(order)))
    with fixed_jitter():
        sns.stripplot(
            table, x="seconds", y=rows, order=order, ax=axes, jitter=0.22, size=5, alpha=0.75,
            legend="full" if hue else False, hue=hue or rows, hue_order=hues,
            palette=list(style.colours(hues).values()),
        )  # fmt: skip
    _draw_medians(axes, table.groupby(rows)["seconds"].median(), order)
    if table["seconds"].max() > 20 * table["seconds"].min() > 0:
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, None)
    if hue:
        axes.legend(title=setting_name(hue), title_fontsize=8, **style.RIGHT)
    axes.set(xlabel="seconds per epoch", ylabel="" if rows == "model" else setting_name(rows))
    axes.set_title("Training time: a dot per cell (mean over seeds), a bar at the median", fontsize=11)
    sns.despine(figure, left=True)
    devices = ", ".join(dict.fromkeys(study.description(block)["training"]["device"] for block in study.blocks))
    return figure, f"{study.note(study.best)} · trained on: {devices}"


def _variants(study: LabelledResults) -> dict[str, tuple]:
    rows, is_timed = row_axis(study), (study.table("replicates")["seconds"] > 0).any()
    return {"": (rows,)} if rows and is_timed else {}


FIGURE = Figure(
    name="speed",
    caption="Wall-clock time of training, including validation. The time of a stack is "
    "divided evenly among its heads. Computing the features of frozen backbones, once per image, is not included.",
    draw=speed,
    variants=_variants,
    position=6,
)
