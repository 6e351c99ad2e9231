"""Whether the effect of one setting depends on another: analysis of variance, and the effects themselves."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from medgrid.evaluation.contrasts import describe_selection, hashable
from medgrid.evaluation.labels import setting_name
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import estimate

# of tables that may have no row
INTERACTIONS = (
    "first", "second", "metric", "F", "df", "df_rest", "p", "eta_squared", "p_by_seed", "p_adjusted", "cells",
    "replicates", "diverged",
)  # fmt: skip
SIMPLE_EFFECTS = (
    "axis", "first", "second", "at", "metric", "difference", "seeds_low", "seeds_high", "cells", "replicates",
    "diverged",
)  # fmt: skip
ROUNDING = 1e-12  # share of all scatter below which the residual is rounding


def interaction(values: np.ndarray) -> dict[str, float]:
    """F test of the interaction of the first two factors of a full factorial design.

    `values` [levels of A, levels of B, levels of all other factors together, seeds]: one value per cell and seed. The
    model has every effect and interaction of A, B and the rest, and seeds as blocks, so that no effect of the rest
    counts as noise. The design is balanced: sums of squares of all types agree. `eta_squared`: the interaction's
    share of itself and the residual (partial). NaN where seeds do not scatter: there is nothing to measure it by.
    """
    first, second, rest, seeds = values.shape
    total = values.mean()
    means = values.mean((2, 3))
    apart = means - means.mean(1, keepdims=True) - means.mean(0) + total
    of_interaction, freedom = rest * seeds * np.square(apart).sum(), (first - 1) * (second - 1)
    residual = values - values.mean(3, keepdims=True) - values.mean((0, 1, 2)) + total
    of_residual, residual_freedom = np.square(residual).sum(), (first * second * rest - 1) * (seeds - 1)
    scatters = of_residual > ROUNDING * np.square(values - total).sum()
    ratio = of_interaction / freedom / (of_residual / residual_freedom) if scatters else np.nan
    return {
        "F": ratio,
        "df": freedom,
        "df_rest": residual_freedom,
        "p": stats.f.sf(ratio, freedom, residual_freedom),
        "eta_squared": of_interaction / (of_interaction + of_residual) if scatters else np.nan,
    }


def p_by_seed(values: np.ndarray) -> float:
    """p-value of the same interaction with seeds as subjects of repeated measures; `values` as in `interaction`.

    The F test above supposes that all cells scatter alike, which high learning rates break. Here each seed's own
    interaction is compared with its scatter over seeds (Greenhouse and Geisser 1959). NaN where seeds do not scatter.
    """
    own = values.mean(2)
    own = own - own.mean(0, keepdims=True) - own.mean(1, keepdims=True) + own.mean((0, 1), keepdims=True)
    first, second, seeds = own.shape
    freedom = (first - 1) * (second - 1)
    own = own.reshape(-1, seeds)
    mean = own.mean(1)
    apart = own - mean[:, None]
    products = apart @ apart.T
    if np.trace(products) <= ROUNDING * np.square(values - values.mean()).sum():
        return np.nan
    epsilon = np.trace(products) ** 2 / (freedom * np.square(products).sum())
    ratio = seeds * mean @ mean / (np.trace(products) / (seeds - 1))
    return float(stats.f.sf(ratio, freedom * epsilon, freedom * epsilon * (seeds - 1)))


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


@dataclass(frozen=True)
class Design:
    """Two axes, their values, and the study's metric of the cells that have every combination of these."""

    axes: tuple[str, str]
    levels: tuple[list, list]
    values: np.ndarray  # [values of the first axis, of the second, settings of the other axes, seeds]
    diverged: int  # trainings among them, which count as chance


def _designs(study: StudyResults) -> Iterator[Design]:
    """Of each two axes that have a factorial design."""
    by_seed = study.by_seed(study.settings["criterion"]["metric"])
    table = study.values.loc[study.cells, study.axes]
    # as objects: beside numbers, pandas would take None for NaN, which is not even equal to itself
    rows = [[hashable(value) for value in row] for row in table.to_numpy()]
    cells = pd.DataFrame(rows, table.index, study.axes, dtype=object)
    for one, other in itertools.combinations(study.axes, 2):
        if found := _factorial(cells, one, other):
            first, second, blocks = found
            values = np.stack([by_seed.loc[block].to_numpy() for block in blocks], 1)
            values = values.reshape(len(first), len(second), len(blocks), -1)
            diverged = int(study.diverged.loc[list(itertools.chain(*blocks))].to_numpy().sum())
            yield Design((one, other), (first, second), values, diverged)


def _level(axis: str, value: Any) -> str:
    """A value of an axis in words, also where a cell lacks the setting."""
    return f"without {setting_name(axis)}" if value is None else describe_selection({axis: [value]})


def interactions(study: StudyResults) -> pd.DataFrame:
    """Of each two axes, whether the effect of one depends on the other; see `interaction` and `p_by_seed`.

    Over replicates of the study's metric at each training's best epoch, on those settings of the other axes that were
    run with every combination of the two. `p_adjusted`: `p_by_seed` after Holm's correction over the table.
    """
    metric = study.settings["criterion"]["metric"]
    rows = []
    for design in _designs(study):
        replicates = design.values.shape[3]
        if replicates > 1:
            row = dict(zip(("first", "second"), design.axes, strict=True)) | {"metric": metric}
            row |= interaction(design.values) | {"p_by_seed": p_by_seed(design.values)}
            row |= {"cells": design.values[..., 0].size, "replicates": replicates, "diverged": design.diverged}
            rows.append(row)
    table = pd.DataFrame(rows, columns=list(INTERACTIONS))
    table = table[table["p_by_seed"].notna()].reset_index(drop=True)
    if len(table):
        table["p_adjusted"] = multipletests(table["p_by_seed"], method="holm")[1]
    return table


def simple_effects(study: StudyResults) -> pd.DataFrame:
    """The effect of one axis at each value of another: how much better its first value is than each other one.

    Averaged over those settings of the other axes that were run with every combination of the two. Each training is
    taken at its best epoch by validation. `seeds_low`, `seeds_high`: 95 % over seeds, for these test images, not
    corrected for the number of rows. Of each two axes, the one with fewer values is compared, at each value of the
    other.
    """
    metric = study.settings["criterion"]["metric"]
    sign = -1 if metric == "test_loss" else 1
    rows = []
    for design in _designs(study):
        (one, other), (first, second), values = design.axes, design.levels, design.values
        if len(first) > len(second):
            one, other, first, second, values = other, one, second, first, values.swapaxes(0, 1)
        differences = sign * (values[:1] - values[1:]).mean(2)  # [values of the axis less one, at, seeds]
        for i, value in enumerate(first[1:]):
            for j, at in enumerate(second):
                found = estimate(differences[i, j])
                # seeds that agree to the last digit say nothing of others
                low, high = found.over_seeds() if found.seed_error else (np.nan, np.nan)
                row = {"axis": one, "first": _level(one, first[0]), "second": _level(one, value)}
                row |= {"at": _level(other, at), "metric": metric, "difference": found.value}
                row |= {"seeds_low": low, "seeds_high": high, "cells": 2 * values.shape[2]}
                rows.append(row | {"replicates": found.seeds, "diverged": design.diverged})
    return pd.DataFrame(rows, columns=list(SIMPLE_EFFECTS))
