"""Contrasts: the weights of cells in a comparison, so that each comparison is one weighted sum.

Two groups of cells are compared at those values of their other axes that both have: a batch size of 32 against 64 at
each rate, then averaged. Groups that share none (networks of different kinds) are compared by their means.
"""

import numpy as np
import pandas as pd

from medgrid.config.training import Extra
from medgrid.evaluation.results import StudyResults

Selection = dict[str, list]  # values by setting


def select(settings: Extra) -> Selection:
    """Settings as lists of values, without those that are left open."""
    named = settings.model_dump(exclude_none=True)
    return {name: value if isinstance(value, list) else [value] for name, value in named.items()}


def cells_of(results: StudyResults, *selections: Selection) -> list[str]:
    """Cells that have, for each selected setting, one of its values."""
    table = results.settings
    for selection in selections:
        for name, values in selection.items():
            table = table[np.array([value in values for value in table[name]], bool)]
    return list(table.index)


def mean_of(cells: list[str]) -> pd.Series:
    """Weights of the mean over cells."""
    return pd.Series(1 / len(cells), cells)


def difference(
    results: StudyResults, first: Selection, second: Selection, where: Selection, matched: bool = False
) -> pd.Series | None:
    """Weights of the mean of the first group minus the mean of the second; None when either group has no cells.

    `where`: among these cells only. `matched`: None also when the groups share no values of their other axes.
    """
    first_cells, second_cells = (cells_of(results, where, selection) for selection in (first, second))
    if not first_cells or not second_cells:
        return None
    compared = {*first, *second}
    one, other = (by_other_axes(results, cells, compared) for cells in (first_cells, second_cells))
    shared = [key for key in one if key in other]
    if not shared and matched:
        return None
    if not shared:
        one, other, shared = {(): first_cells}, {(): second_cells}, [()]
    weights = pd.Series(0.0, results.cells)
    for key in shared:
        weights[one[key]] += 1 / len(one[key]) / len(shared)
        weights[other[key]] -= 1 / len(other[key]) / len(shared)
    return weights[weights != 0]


def linear_contrast(results: StudyResults, axis: str, *selections: Selection) -> pd.Series | None:
    """Weights of the change along an axis of numbers, from its lowest to its highest value, on a fitted line.

    The line is fitted over the logarithm of the setting when all its values are above 0. Lines at different values of
    the other axes are averaged. None when the selected cells have fewer than two values.
    """
    lines = []
    for cells in by_other_axes(results, cells_of(results, *selections), {axis}).values():
        values = results.settings.loc[cells, axis].astype(float).dropna()  # a cell may lack the setting
        if values.nunique() > 1:
            x = np.log2(values) if (values > 0).all() else values
            centred = x - x.mean()
            lines.append(centred / np.square(centred).sum() * (x.max() - x.min()))
    if not lines:
        return None
    return pd.concat(lines).groupby(level=0, sort=False).sum() / len(lines)


def rivals(results: StudyResults, chosen: Selection, where: Selection) -> list[Selection]:
    """Each other combination of values that cells have for the chosen settings."""
    names = list(chosen)
    chosen_cells = set(cells_of(results, where, chosen))
    combinations: dict[str, Selection] = {}
    for cell in cells_of(results, where):
        if cell not in chosen_cells:
            values = results.settings.loc[cell][names]
            combinations.setdefault(str(list(values)), {name: [values[name]] for name in names})
    return list(combinations.values())


def by_other_axes(results: StudyResults, cells: list[str], compared: set[str]) -> dict[tuple, list[str]]:
    """Cells by their values on the axes that are not compared."""
    others = [axis for axis in results.axes if axis not in compared]
    groups: dict[tuple, list[str]] = {}
    for cell in cells:
        groups.setdefault(tuple(map(str, results.settings.loc[cell][others])), []).append(cell)
    return groups
