"""Whether the effect of one setting depends on another: analysis of variance, and the effects themselves."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from medgrid.evaluation.contrasts import named
from medgrid.evaluation.measured import Measured
from medgrid.evaluation.statistics import estimate

# of tables that may have no row
INTERACTIONS = ("first", "second", "metric", "F", "df", "df_rest", "p", "p_adjusted", "eta_squared")
SIMPLE_EFFECTS = ("axis", "first", "second", "at", "metric", "difference", "low", "high", "cells", "replicates")


def interaction(values: np.ndarray) -> dict[str, float]:
    """F test of the interaction of the first two factors of a full factorial design.

    `values` [levels of A, levels of B, levels of all other factors together, seeds]: one value per cell and seed. The
    model has every effect and interaction of A, B and the rest, and seeds as blocks, so that no effect of the rest
    counts as noise. The design is balanced: sums of squares of all types agree. `eta_squared`: the interaction's
    share of itself and the residual (partial).
    """
    first, second, rest, seeds = values.shape
    total = values.mean()
    means = values.mean((2, 3))
    apart = means - means.mean(1, keepdims=True) - means.mean(0) + total
    of_interaction, freedom = rest * seeds * np.square(apart).sum(), (first - 1) * (second - 1)
    residual = values - values.mean(3, keepdims=True) - values.mean((0, 1, 2)) + total
    of_residual, residual_freedom = np.square(residual).sum(), (first * second * rest - 1) * (seeds - 1)
    ratio = of_interaction / freedom / (of_residual / residual_freedom)
    return {
        "F": ratio,
        "df": freedom,
        "df_rest": residual_freedom,
        "p": stats.f.sf(ratio, freedom, residual_freedom),
        "eta_squared": of_interaction / (of_interaction + of_residual),
    }


def _factorial(cells: pd.DataFrame, one: str, other: str) -> tuple[list, list, list[list[str]]] | None:
    """Levels of two axes, and for each setting of the other axes that has all of their combinations, its cells.

    `cells`: settings by cell id. The cells of one setting: in the order of `one`, within it of `other`. Settings
    with fewer combinations than others are left out. None where an axis has one level, or no setting has every
    combination.
    """
    rest = [axis for axis in cells if axis not in (one, other)]
    blocks: dict[tuple, dict[tuple, str]] = {}
    for cell, row in cells.iterrows():
        blocks.setdefault(tuple(row[rest]), {})[row[one], row[other]] = cell
    most = max(map(len, blocks.values()))
    kept = [block for block in blocks.values() if len(block) == most]
    levels = [list(dict.fromkeys(point[side] for block in kept for point in block)) for side in (0, 1)]
    combinations = list(itertools.product(*levels))
    if min(map(len, levels)) < 2 or most < len(combinations):
        return None
    return *levels, [[block[point] for point in combinations] for block in kept]


def _pairs(study: Measured):
    """Of each two axes with a factorial design: names, levels, and the study's metric [A, B, rest, seeds]."""
    by_seed = study.by_seed(study.settings["judged_by"]["metric"])
    cells = study.values.loc[study.cells, study.axes].map(_hashable)
    for one, other in itertools.combinations(study.axes, 2):
        if found := _factorial(cells, one, other):
            first, second, blocks = found
            values = np.stack([by_seed.loc[block].to_numpy() for block in blocks], 1)
            yield one, other, first, second, values.reshape(len(first), len(second), len(blocks), -1)


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


def interactions(study: Measured) -> pd.DataFrame:
    """Of each two axes, whether the effect of one depends on the other; see `interaction`.

    Over replicates of the study's metric, on those settings of the other axes that were run with every combination
    of the two. `p_adjusted`: after Holm's correction over the table.
    """
    metric = study.settings["judged_by"]["metric"]
    rows = [
        {"first": one, "second": other, "metric": metric, **interaction(values)}
        for one, other, _, _, values in _pairs(study)
        if values.shape[3] > 1 and np.ptp(values) > 0
    ]
    table = pd.DataFrame(rows, columns=list(INTERACTIONS))
    if rows:
        table["p_adjusted"] = multipletests(table["p"], method="holm")[1]
    return table


def simple_effects(study: Measured) -> pd.DataFrame:
    """The effect of one axis at each value of another: its first value less each other one, over seeds.

    Averaged over those settings of the other axes that were run with every combination of the two; positive: the
    first is better. Both sides were trained for the same number of epochs. `low`, `high`: 95 % over seeds. Of each
    two axes, the one with fewer values is compared, at each value of the other.
    """
    metric = study.settings["judged_by"]["metric"]
    sign = -1 if metric == "test_loss" else 1
    rows = []
    for one, other, first, second, values in _pairs(study):
        if len(first) > len(second):
            one, other, first, second, values = other, one, second, first, values.swapaxes(0, 1)
        differences = sign * (values[:1] - values[1:]).mean(2)  # [values of the axis less one, at, seeds]
        for i, value in enumerate(first[1:]):
            for j, at in enumerate(second):
                found = estimate(differences[i, j])
                low, high = found.over_seeds()
                row = {"axis": one, "first": named({one: [first[0]]}), "second": named({one: [value]})}
                row |= {"at": named({other: [at]}), "metric": metric, "difference": found.value}
                row |= {"low": low, "high": high, "cells": 2 * values.shape[2], "replicates": found.seeds}
                rows.append(row)
    return pd.DataFrame(rows, columns=list(SIMPLE_EFFECTS))
