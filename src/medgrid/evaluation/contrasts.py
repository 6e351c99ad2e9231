"""Which cells a comparison is between: a weight for each cell, so that every comparison is one weighted sum.

Two groups are compared over those settings of their other axes that both have: a batch size of 32 against 64 at each
rate, then averaged. Where they share none (networks of different kinds), means are compared.
"""

from typing import Any

import numpy as np
import pandas as pd

from medgrid.evaluation.labels import describe
from medgrid.evaluation.results import StudyResults

Selection = dict[str, list]  # values of settings


def hashable(value: Any) -> Any:
    """A setting's value as a key: lists (of milestones) as tuples."""
    return tuple(value) if isinstance(value, list) else value


def select(selection: dict[str, Any]) -> Selection:
    """Settings as lists of values, without those that are left open."""
    return {
        name: value if isinstance(value, list) else [value] for name, value in selection.items() if value is not None
    }


def describe_selection(selection: Selection) -> str:
    """A selection in words."""
    return describe({name: value if len(value) > 1 else value[0] for name, value in selection.items()}) or "all cells"


def cells_of(study: StudyResults, *selections: Selection) -> list[str]:
    """Cells that have one of the values of each setting named."""
    table = study.values
    for selection in selections:
        for name, values in selection.items():
            own = table[name]
            # a tuple of milestones is a list in JSON
            has = [value in values or (isinstance(value, list) and tuple(value) in values) for value in own]
            table = table.loc[np.array(has, bool)]
    return list(table.index)


def _by_rest(study: StudyResults, cells: list[str], left_out: set[str]) -> dict[tuple, list[str]]:
    rest = [axis for axis in study.axes if axis not in left_out]
    groups: dict[tuple, list[str]] = {}
    for cell in cells:
        groups.setdefault(tuple(map(str, study.values.loc[cell, rest])), []).append(cell)
    return groups


def mean_of(study: StudyResults, cells: list[str]) -> pd.Series:
    """Weights of a plain mean."""
    return pd.Series(1 / len(cells), cells)


def difference(
    study: StudyResults, first: Selection, second: Selection, of: Selection, matched: bool = False
) -> pd.Series | None:
    """Weights of the mean of the first group less the mean of the second; None where either was not run.

    `matched`: None, too, where the groups share none of their other settings.
    """
    sides = [cells_of(study, of, selection) for selection in (first, second)]
    if not all(sides):
        return None
    one, other = (_by_rest(study, cells, {*first, *second}) for cells in sides)
    shared = [rest for rest in one if rest in other]
    if not shared and matched:
        return None
    if not shared:
        one, other, shared = {(): sides[0]}, {(): sides[1]}, [()]
    weights = pd.Series(0.0, study.cells)
    for rest in shared:
        weights[one[rest]] += 1 / len(one[rest]) / len(shared)
        weights[other[rest]] -= 1 / len(other[rest]) / len(shared)
    return weights[weights != 0]


def linear_contrast(study: StudyResults, axis: str, *selections: Selection) -> pd.Series | None:
    """Weights of the change along an axis of numbers, from its lowest to its highest value, on a fitted line.

    The line runs over the logarithm of the setting, if all are above 0. None where the axis has but one value.
    """
    found = {}
    for rest, cells in _by_rest(study, cells_of(study, *selections), {axis}).items():
        values = study.values.loc[cells, axis].astype(float).dropna()  # not every cell has each setting
        if values.nunique() > 1:
            indices = np.log2(values) if (values > 0).all() else values
            around = indices - indices.mean()
            found[rest] = around / np.square(around).sum() * (indices.max() - indices.min())
    if not found:
        return None
    return pd.concat(found.values()).groupby(level=0, sort=False).sum() / len(found)


def rivals(study: StudyResults, chosen: Selection, of: Selection) -> list[Selection]:
    """Each other combination of the chosen settings that was run."""
    names = list(chosen)
    own = set(cells_of(study, of, chosen))
    combinations: dict[str, Selection] = {}
    for cell in cells_of(study, of):
        if cell not in own:
            values = study.values.loc[cell, names]
            combinations.setdefault(str(list(values)), {name: [values[name]] for name in names})
    return list(combinations.values())
