"""Contrasts: the weights of cells in a comparison, so that each comparison is one weighted sum.

Two groups of cells are compared at those values of their other axes that both have: a batch size of 32 against 64 at
each rate, then averaged. Groups that share none (networks of different kinds) are compared by their means.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Contrast:
    """A weighted sum over cells: the mean of one sum for each stratum, a combination of values of the other axes.

    `strata`: the selection of each stratum, and the weights of its cells.
    """

    strata: tuple[tuple[Selection, pd.Series], ...]

    @property
    def weights(self) -> pd.Series:
        """Weights of the mean over strata."""
        sums = pd.concat([weights for _, weights in self.strata]).groupby(level=0, sort=False).sum()
        return sums[sums != 0] / len(self.strata)

    def reversed(self) -> "Contrast":
        """The same with the opposite sign."""
        return Contrast(tuple((selection, -weights) for selection, weights in self.strata))

    def minus(self, other: "Contrast") -> "Contrast":
        """The difference between the means of two contrasts, without strata."""
        return Contrast((({}, self.weights.sub(other.weights, fill_value=0)),))


def mean_of(results: StudyResults, cells: list[str]) -> Contrast | None:
    """The mean over cells, each of which is a stratum; None without cells."""
    strata = tuple((_selection(results, cell, results.axes), pd.Series(1.0, [cell])) for cell in cells)
    return Contrast(strata) if strata else None


def difference(
    results: StudyResults, first: Selection, second: Selection, where: Selection, matched: bool = False
) -> Contrast | None:
    """The mean of the first group minus the mean of the second; None when either group has no cells.

    `where`: among these cells only. `matched`: None also when the groups share no values of their other axes.
    """
    first_cells, second_cells = (cells_of(results, where, selection) for selection in (first, second))
    if not first_cells or not second_cells:
        return None
    others = [axis for axis in results.axes if axis not in {*first, *second}]
    one, other = (by_axes(results, cells, others) for cells in (first_cells, second_cells))
    shared = [key for key in one if key in other]
    if not shared and matched:
        return None
    if not shared:
        return Contrast((({}, _less(first_cells, second_cells)),))
    strata = [(_selection(results, one[key][0], others), _less(one[key], other[key])) for key in shared]
    return Contrast(tuple(strata))


def _less(first: list[str], second: list[str]) -> pd.Series:
    """Weights of the mean of the first cells minus the mean of the second."""
    return pd.concat([pd.Series(1 / len(first), first), pd.Series(-1 / len(second), second)])


def linear_contrast(results: StudyResults, axis: str, *selections: Selection) -> Contrast | None:
    """The change along an axis of numbers, from its lowest to its highest value, on a fitted line.

    The line is fitted over the logarithm of the setting when all its values are above 0. There is a line for each
    combination of the other axes. None when the selected cells have fewer than two values.
    """
    others = [name for name in results.axes if name != axis]
    strata = []
    for cells in by_axes(results, cells_of(results, *selections), others).values():
        values = results.settings.loc[cells, axis].astype(float).dropna()  # a cell may lack the setting
        if values.nunique() > 1:
            x = np.log2(values) if (values > 0).all() else values
            centred = x - x.mean()
            line = centred / np.square(centred).sum() * (x.max() - x.min())
            strata.append((_selection(results, cells[0], others), line))
    return Contrast(tuple(strata)) if strata else None


def rivals(results: StudyResults, chosen: Selection, where: Selection, without: Selection) -> list[Selection]:
    """Each other combination of values that cells have for the chosen settings, except cells of `without`."""
    names = list(chosen)
    no_rivals = set(cells_of(results, where, chosen)).union(cells_of(results, without) if without else ())
    combinations: dict[str, Selection] = {}
    for cell in cells_of(results, where):
        if cell not in no_rivals:
            values = results.settings.loc[cell][names]
            combinations.setdefault(str(list(values)), {name: [values[name]] for name in names})
    return list(combinations.values())


def by_axes(results: StudyResults, cells: list[str], axes: list[str]) -> dict[tuple, list[str]]:
    """Cells by their values on some axes."""
    groups: dict[tuple, list[str]] = {}
    for cell in cells:
        groups.setdefault(tuple(map(str, results.settings.loc[cell][axes])), []).append(cell)
    return groups


def _selection(results: StudyResults, cell: str, axes: list[str]) -> Selection:
    """The values of a cell on some axes, without those that it lacks."""
    values = {axis: results.settings.loc[cell, axis] for axis in axes}
    return {axis: [value] for axis, value in values.items() if value is not None}
