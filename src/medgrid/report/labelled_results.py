"""Results of a finished study with labels of its cells, for figures and pages."""

from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from medgrid.data import PARTS
from medgrid.evaluation.labels import SELF_EXPLANATORY, describe_settings, setting_name, setting_value
from medgrid.evaluation.results import StudyResults, read_table
from medgrid.grid.manifest import StudyManifest

LONG = 60  # characters of a label, above which it names values only
MIDDLE_DOT = "\u00a0· "  # a value stays with the dot behind it where a label is wrapped


def where(table: pd.DataFrame, columns: list[str], values: tuple) -> pd.DataFrame:
    """The rows that have these values in these columns."""
    for column, value in zip(columns, values, strict=True):
        table = table[table[column] == value]
    return table


def settings_in(cells: pd.DataFrame, axes: list[str]) -> list[tuple]:
    """The settings of some axes that these cells have, in order of appearance."""
    return list(dict.fromkeys(cells[axes].itertuples(index=False, name=None))) if axes else [()]


def _ordered_labels(values: list) -> list[str]:
    """Distinct values as labels: numbers ascending, words in order of appearance, absent values last."""
    distinct = list(dict.fromkeys(tuple(value) if isinstance(value, list) else value for value in values))

    def key(value: Any) -> tuple:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (value is None, not is_number, value if is_number else distinct.index(value))

    return [setting_value(value) for value in sorted(distinct, key=key)]


class LabelledResults(StudyResults):
    """Results of a study, with labels of its cells.

    `grid`: labels of the settings of each cell; a row for each cell, a column for each axis.
    `values`: labels on each axis, in the order in which figures show them. `varied`: axes that distinguish cells.
    `best`: rows of cells.csv at the best epoch, by cell. `models`: names of models; `[None]` if the model is no axis.

    Cells may lack a setting that others have, and cells outside the product of the axes leave gaps in it: nothing
    here assumes a full grid.
    """

    def __init__(self, manifest: StudyManifest, folder: Path, split: Path | None = None, tensors: Path | None = None):
        super().__init__(manifest, folder, split)
        self.tensors = tensors
        self.classes = manifest.classes
        self.values = {axis: _ordered_labels([cell[axis] for cell in manifest.cells]) for axis in self.axes}
        self.grid = pd.DataFrame(
            [{axis: setting_value(cell[axis]) for axis in self.axes} for cell in manifest.cells], index=self.cells
        )
        self.varied = self._varied()
        self.models = self.values["model"] if "model" in self.axes else [None]

    def _varied(self) -> list[str]:
        """Axes that distinguish cells: without those of one value, and those that follow from an earlier word.

        In a study whose own networks train from scratch and whose other networks do not, the mode follows from the
        model.
        """
        kept: list[str] = []
        for axis in [axis for axis in self.axes if len(self.values[axis]) > 1]:
            words = [each for each in kept if all(isinstance(cell[each], str) for cell in self.manifest.cells)]
            if not any((self.grid.groupby(word)[axis].nunique() == 1).all() for word in words):
                kept.append(axis)
        return kept or self.axes[-1:]

    # tables

    @cached_property
    def best(self) -> pd.DataFrame:
        cells = self.table("cells")
        return cells[cells["checkpoint"] == "best"].set_index("cell", drop=False)

    def best_row(self, cell: str) -> pd.Series:
        """Row of `best` of a cell."""
        return cast(pd.Series, self.best.loc[cell])

    @cached_property
    def best_replicates(self) -> pd.DataFrame:
        """Rows of replicates.csv at the best epoch."""
        replicates = self.table("replicates")
        return replicates[replicates["checkpoint"] == "best"]

    def of_model(self, table: pd.DataFrame, model: str | None) -> pd.DataFrame:
        """Rows of a table whose cells have this model; all rows without one."""
        return table if model is None else table[table["cell"].map(self.grid["model"]) == model]

    def grid_of(self, model: str | None) -> pd.DataFrame:
        """Rows of `grid` that have this model; all rows without one."""
        return self.grid if model is None else self.grid[self.grid["model"] == model]

    def settings_of(self, cell: str, axes: list[str] | None = None) -> dict[str, str]:
        """Labels of a cell's settings on some axes, or on all."""
        row = self.grid.loc[cell]
        return {axis: str(row[axis]) for axis in (self.axes if axes is None else axes)}

    # images

    @cached_property
    def labelled_images(self) -> pd.DataFrame:
        """Rows of the split in training, validation or test; competitions have other images, without labels."""
        if self.split is None:
            raise ValueError("LabelledResults was made without a split")
        table = read_table(self.split)
        return table[table["part"].isin(PARTS)]

    @cached_property
    def pixels(self) -> np.ndarray:
        """All images, uint8 [N, H, W, C], read from disk where they are used."""
        if self.tensors is None:
            raise ValueError("LabelledResults was made without tensors")
        return np.load(self.tensors, mmap_mode="r")

    # labels

    def note(self, table: pd.DataFrame) -> str:
        """The line below a figure of some rows: data, weights and split."""
        weights = "; ".join(dict.fromkeys(table["weights"]))
        return f"{self.manifest.data} · weights: {weights} · {self.manifest.protocol} split"

    def label(self, cell: str) -> str:
        """Names and values of the settings that vary, or, where labels would be long, values only (see `header`)."""
        if self.has_short_labels:
            return MIDDLE_DOT.join(self.settings_of(cell, self.varied).values())
        return self.long_label(cell)

    def long_label(self, cell: str) -> str:
        """Names and values of the settings that vary."""
        return describe_settings(self.settings_of(cell, self.varied))

    def header(self) -> str:
        """Names of the settings in a label of values only; empty where labels have the names."""
        return " · ".join(map(setting_name, self.varied)) if self.has_short_labels else ""

    @cached_property
    def has_short_labels(self) -> bool:
        """Whether labels have values only, since names and values would be too long."""
        names = sum(len(setting_name(axis)) + 1 for axis in self.varied if axis not in SELF_EXPLANATORY)
        values = sum(max(map(len, self.values[axis])) + 2 for axis in self.varied)
        return len(self.varied) > 1 and names + values > LONG
