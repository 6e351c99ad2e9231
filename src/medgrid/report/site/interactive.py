"""Learning curves to be inspected: numbers and a Vega-Lite drawing that a page carries, for static/curves.js."""

import altair as alt
import numpy as np
import pandas as pd

from medgrid.config.training import steps_per_epoch
from medgrid.evaluation.labels import setting_name
from medgrid.report.figures.curves import colour_axis
from medgrid.report.study import Study, read

CURVES = [f"{part}_{quantity}" for part in ("train", "validation") for quantity in ("loss", "accuracy")]
DIGITS = 4  # significant; a line is some hundred pixels high
FIRST = 8  # curves that a page shows before anyone chooses, at most


def drawing() -> dict:
    """The chart as Vega-Lite: bands under lines, and a rule at the epoch that is read off.

    Named data are put in by the page: `curves` (label, part, x, mean, low, high) and `at` (x).
    """
    # without a data set's name beside it, altair would look the data up in its own registry
    curves, at = alt.Data(name="curves"), alt.Data(name="at")
    across = alt.X("x:Q", axis=alt.Axis(grid=False, tickMinStep=1), scale=alt.Scale(nice=False, zero=False))
    colour = alt.Color("label:N", legend=None)
    values = alt.Scale(zero=False)
    bands = (
        alt.Chart(curves)
        .mark_area(opacity=0.16)
        .encode(x=across, y=alt.Y("low:Q", scale=values), y2="high:Q", color=colour, detail="part:N")
    )
    dash = alt.StrokeDash(
        "part:N", legend=None, scale=alt.Scale(domain=["validation", "train"], range=[[1, 0], [3, 3]])
    )
    lines = (
        alt.Chart(curves)
        .mark_line(strokeWidth=1.8)
        .encode(x=across, y=alt.Y("mean:Q", scale=values), color=colour, strokeDash=dash)
    )
    rule = alt.Chart(at).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    chart = alt.layer(bands, lines, rule).properties(width="container", height=360)
    found = chart.to_dict()
    return {name: found[name] for name in ("layer", "width", "height")}


def _rounded(values: pd.Series) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.{DIGITS}g}") for value in values]


def _first(study: Study, axes: list[str]) -> dict[str, list[str]]:
    """By axis, the values that are chosen at first: the best cell's, and all of an axis while lines stay few."""
    best = study.chosen(None) or study.cells.index[0]
    chosen = {axis: [study.cells.loc[best, axis]] for axis in axes}
    hue = colour_axis(study, study.cells)
    for axis in sorted(axes, key=lambda axis: (axis != hue, axis != "batch_size")):
        wider = chosen | {axis: study.values[axis]}
        fitting = np.logical_and.reduce([study.cells[name].isin(values) for name, values in wider.items()])
        if fitting.sum() <= FIRST:
            chosen = wider
    return chosen


def learning_curves(study: Study, images: int) -> dict:
    """Curves of every cell and how to draw them; `images` train.

    Labels may be values alone: `header` says of what. Of each cell: its values on the axes, steps per epoch, seeds by
    epoch, and of each curve the mean, lowest and highest by epoch, null where every seed has diverged. Epochs count
    from 1.
    """
    table = {cell: rows.sort_values("epoch") for cell, rows in read(study.folder / "curves.csv").groupby("cell")}
    axes = [axis for axis in study.varied if len(study.values[axis]) > 1]
    cells = []
    for cell in study.cells.index:
        if cell not in table:
            continue
        rows = table[cell]
        cells.append(
            {
                "label": study.label(cell),
                "values": list(study.cells.loc[cell, axes]),
                "steps": steps_per_epoch(images, study.settings["trainings"][cell]["batch_size"]),
                "seeds": rows["seeds"].tolist(),
                **{curve: [_rounded(rows[f"{curve}_{s}"]) for s in ("mean", "min", "max")] for curve in CURVES},
            }
        )
    first = _first(study, axes)
    named = [
        {"name": setting_name(axis), "values": study.values[axis], "first": first[axis]}
        for axis in axes
    ]  # fmt: skip
    return {"axes": named, "header": study.header(), "cells": cells, "drawing": drawing()}
