"""Interactive learning curves: numbers and a Vega-Lite chart embedded in a page, for static/curves.js."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from medgrid.config.metrics import CURVES
from medgrid.config.training import steps_per_epoch
from medgrid.evaluation.labels import setting_name
from medgrid.report.figures.learning_curves import colour_axis
from medgrid.report.labelled_results import LabelledResults

DIGITS = 4  # significant; a line is some hundred pixels high
FIRST = 8  # curves that a page shows at first, at most


def chart() -> dict[str, Any]:
    """The chart as Vega-Lite: bands under lines, and a rule at the epoch that is read off.

    The page adds the data `curves` (label, part, x, mean, low, high) and `at` (x).
    """
    # without named data, altair would look the data up in its own registry
    curves, at = alt.Data(name="curves"), alt.Data(name="at")
    x = alt.X("x:Q", axis=alt.Axis(grid=False, tickMinStep=1), scale=alt.Scale(nice=False, zero=False))
    colour = alt.Color("label:N", legend=None)
    y_scale = alt.Scale(zero=False)
    bands = (
        alt.Chart(curves)
        .mark_area(opacity=0.16)
        .encode(x=x, y=alt.Y("low:Q", scale=y_scale), y2="high:Q", color=colour, detail="part:N")
    )
    dash = alt.StrokeDash(
        "part:N", legend=None, scale=alt.Scale(domain=["validation", "train"], range=[[1, 0], [3, 3]])
    )
    lines = (
        alt.Chart(curves)
        .mark_line(strokeWidth=1.8)
        .encode(x=x, y=alt.Y("mean:Q", scale=y_scale), color=colour, strokeDash=dash)
    )
    rule = alt.Chart(at).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    chart = alt.layer(bands, lines, rule).properties(width="container", height=360).to_dict()
    return {name: chart[name] for name in ("layer", "width", "height")}


def _rounded(values: pd.Series) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.{DIGITS}g}") for value in values]


def _first_values(study: LabelledResults, axes: list[str]) -> dict[str, list[str]]:
    """By axis, the values shown at first: the best cell's, and all values of an axis while lines stay few."""
    best = study.best_cell() or study.cells[0]
    shown = {axis: [value] for axis, value in study.settings_of(best, axes).items()}
    hue = colour_axis(study, study.grid)
    for axis in sorted(axes, key=lambda axis: (axis != hue, axis != "batch_size")):
        wider = shown | {axis: study.values[axis]}
        cells = np.logical_and.reduce([study.grid[name].isin(values) for name, values in wider.items()])
        if cells.sum() <= FIRST:
            shown = wider
    return shown


def _cell_curves(
    study: LabelledResults, cell: str, rows: pd.DataFrame, axes: list[str], images: int
) -> dict[str, Any]:
    rows = rows.sort_values("epoch")
    return {
        "label": study.label(cell),
        "values": list(study.settings_of(cell, axes).values()),
        "steps": steps_per_epoch(images, study.manifest.trainings[cell].batch_size),
        "seeds": rows["seeds"].tolist(),
        **{curve: [_rounded(rows[f"{curve}_{s}"]) for s in ("mean", "min", "max")] for curve in CURVES},
    }


def learning_curves(study: LabelledResults, images: int) -> dict[str, Any]:
    """Curves of every cell and how to draw them; `images`: number of training images.

    Labels may be values only; `header` then names their settings. For each cell: its values on the axes, steps per
    epoch, number of seeds by epoch, and for each curve the mean, lowest and highest value by epoch, null where every
    seed has diverged. Epochs count from 1.
    """
    tables = dict(iter(study.table("curves").groupby("cell")))
    axes = [axis for axis in study.varied if len(study.values[axis]) > 1]
    first = _first_values(study, axes)
    return {
        "axes": [{"name": setting_name(axis), "values": study.values[axis], "first": first[axis]} for axis in axes],
        "header": study.header(),
        "cells": [_cell_curves(study, cell, tables[cell], axes, images) for cell in study.cells if cell in tables],
        "drawing": chart(),
    }
