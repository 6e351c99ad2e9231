"""Whether the effect of one setting depends on another: analysis of variance, and simple effects."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from medgrid.evaluation.labels import describe_level
from medgrid.evaluation.results import StudyResults

# columns, also of tables without rows
INTERACTIONS = (
    "first", "second", "metric", "F", "df", "df_rest", "p", "eta_squared", "p_by_seed", "p_adjusted", "cells",
    "replicates", "diverged",
)  # fmt: skip
SIMPLE_EFFECTS = (
    "axis", "first", "second", "at", "metric", "difference", "low", "high", "seeds_low", "seeds_high", "cells",
    "replicates", "diverged",
)  # fmt: skip
ROUNDING = 1e-12  # share of the total sum of squares below which a residual is a rounding error


def interaction(values: np.ndarray) -> dict[str, float]:
    """F test of the interaction of the first two factors of a full factorial design.

    `values` [levels of A, levels of B, levels of all other factors together, seeds]: one value per cell and seed. The
    model has each effect and interaction of A, B and the rest, and seeds as blocks, so that effects of the rest do
    not count as noise. The design is balanced: sums of squares of all types agree. `eta_squared` (partial): the
    interaction's share of the sum of itself and the residual. NaN when seeds do not vary.
    """
    first, second, rest, seeds = values.shape
    grand_mean = values.mean()
    means = values.mean((2, 3))
    effects = means - means.mean(1, keepdims=True) - means.mean(0) + grand_mean
    squares, freedom = rest * seeds * np.square(effects).sum(), (first - 1) * (second - 1)
    residuals = values - values.mean(3, keepdims=True) - values.mean((0, 1, 2)) + grand_mean
    residual_squares, residual_freedom = np.square(residuals).sum(), (first * second * rest - 1) * (seeds - 1)
    varies = residual_squares > ROUNDING * np.square(values - grand_mean).sum()
    ratio = squares / freedom / (residual_squares / residual_freedom) if varies else np.nan
    return {
        "F": ratio,
        "df": freedom,
        "df_rest": residual_freedom,
        "p": float(stats.f.sf(ratio, freedom, residual_freedom)),
        "eta_squared": squares / (squares + residual_squares) if varies else np.nan,
    }


def p_by_seed(values: np.ndarray) -> float:
    """p-value of the same interaction with seeds as subjects of repeated measures; `values` as in `interaction`.

    The F test supposes equal variance in all cells, which high learning rates violate. Here the interaction of each
    seed is compared with its variation over seeds (Greenhouse and Geisser 1959). NaN when seeds do not vary.
    """
    means = values.mean(2)
    effects = means - means.mean(0, keepdims=True) - means.mean(1, keepdims=True) + means.mean((0, 1), keepdims=True)
    first, second, seeds = effects.shape
    freedom = (first - 1) * (second - 1)
    effects = effects.reshape(-1, seeds)
    mean = effects.mean(1)
    residuals = effects - mean[:, None]
    products = residuals @ residuals.T
    if np.trace(products) <= ROUNDING * np.square(values - values.mean()).sum():
        return np.nan
    epsilon = np.trace(products) ** 2 / (freedom * np.square(products).sum())
    ratio = seeds * mean @ mean / (np.trace(products) / (seeds - 1))
    return float(stats.f.sf(ratio, freedom * epsilon, freedom * epsilon * (seeds - 1)))


@dataclass(frozen=True)
class Design:
    """Two axes, their levels, and the study's metric of the cells that have each combination of these."""

    axes: tuple[str, str]
    levels: tuple[list, list]
    cells: np.ndarray  # names [levels of the first axis, of the second, settings of the other axes]
    values: np.ndarray  # [levels of the first axis, of the second, settings of the other axes, seeds]
    diverged: int  # diverged trainings among them, which count as chance

    def swapped(self) -> "Design":
        """The same with the axes in the other order."""
        cells, values = self.cells.swapaxes(0, 1), self.values.swapaxes(0, 1)
        return Design(self.axes[::-1], self.levels[::-1], cells, values, self.diverged)


def _factorial(settings: pd.DataFrame, first: str, second: str) -> tuple[list, list, list[list[str]]] | None:
    """Levels of two axes, and for each setting of the other axes that has all their combinations, its cells.

    `settings`: values of the axes by cell. The cells of one setting are in the order of `first`, within it of
    `second`. Settings with fewer combinations than others are left out. None when an axis has one level, or when no
    setting has each combination.
    """
    others = [axis for axis in settings.columns if axis not in (first, second)]
    blocks: dict[tuple, dict[tuple, str]] = {}
    for cell, row in settings.iterrows():
        blocks.setdefault(tuple(row[others]), {})[row[first], row[second]] = str(cell)
    most = max(map(len, blocks.values()))
    complete = [block for block in blocks.values() if len(block) == most]
    levels = [list(dict.fromkeys(point[side] for block in complete for point in block)) for side in (0, 1)]
    combinations = list(itertools.product(*levels))
    if min(map(len, levels)) < 2 or most < len(combinations):
        return None
    return levels[0], levels[1], [[block[point] for point in combinations] for block in complete]


def _designs(results: StudyResults) -> Iterator[Design]:
    """Of each two axes that have a factorial design."""
    by_seed = results.by_seed(results.manifest.criterion.metric)
    settings = results.settings[results.axes]
    for axes in itertools.combinations(results.axes, 2):
        if factorial := _factorial(settings, *axes):
            first, second, blocks = factorial
            cells = np.array(blocks, object).T.reshape(len(first), len(second), len(blocks))
            values = by_seed.loc[cells.ravel()].to_numpy().reshape(*cells.shape, -1)
            diverged = int(results.diverged.loc[cells.ravel()].to_numpy().sum())
            yield Design(axes, (first, second), cells, values, diverged)


def interactions(results: StudyResults) -> pd.DataFrame:
    """For each pair of axes, whether the effect of one depends on the other; see `interaction` and `p_by_seed`.

    Over replicates of the study's metric at the best epoch of each training, on those settings of the other axes that
    were run with each combination of the two. `p_adjusted`: `p_by_seed` after Holm's correction over the table.
    """
    rows = []
    for design in _designs(results):
        replicates = design.values.shape[3]
        if replicates > 1:
            row = dict(zip(("first", "second"), design.axes, strict=True))
            row |= {"metric": results.manifest.criterion.metric}
            row |= interaction(design.values) | {"p_by_seed": p_by_seed(design.values)}
            row |= {"cells": design.values[..., 0].size, "replicates": replicates, "diverged": design.diverged}
            rows.append(row)
    table = pd.DataFrame(rows, columns=list(INTERACTIONS))
    table = table[table["p_by_seed"].notna()].reset_index(drop=True)
    if len(table):
        table["p_adjusted"] = multipletests(table["p_by_seed"], method="holm")[1]
    return table


def simple_effects(results: StudyResults) -> pd.DataFrame:
    """The effect of one axis at each value of another: how much better its first value is than each other one.

    For each pair of axes, values of the axis with fewer values are compared at each value of the other axis. The
    comparison is averaged over those settings of the remaining axes that were run with all combinations of the two.
    `low`, `high`: 95 % interval over seeds and test images; `seeds_low`, `seeds_high`: over seeds, for these test
    images. Neither is corrected for the number of rows.
    """
    metric = results.manifest.criterion.metric
    rows = []
    for design in _designs(results):
        if len(design.levels[0]) > len(design.levels[1]):
            design = design.swapped()
        rows += [{"metric": metric} | row for row in _simple_effects(results, design, metric)]
    return pd.DataFrame(rows, columns=list(SIMPLE_EFFECTS))


def _simple_effects(results: StudyResults, design: Design, metric: str) -> Iterator[dict]:
    """Rows of one design: the first level of its first axis against each other one, at each level of the second."""
    (compared, other), (levels, others) = design.axes, design.levels
    share = 1 / design.cells.shape[2]
    for i, level in enumerate(levels[1:], start=1):
        for j, at in enumerate(others):
            pairs = pd.concat([pd.Series(share, design.cells[0, j]), pd.Series(-share, design.cells[i, j])])
            measured = results.estimate(pairs, metric)
            low, high = measured.interval()
            seeds_low, seeds_high = measured.over_seeds()
            yield {
                "axis": compared,
                "first": describe_level(compared, levels[0]),
                "second": describe_level(compared, level),
                "at": describe_level(other, at),
                "difference": measured.value,
                "low": low,
                "high": high,
                "seeds_low": seeds_low,
                "seeds_high": seeds_high,
                "cells": len(pairs),
                "replicates": measured.seeds,
                "diverged": design.diverged,
            }
