"""A finished study as figures and page read it."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgrid.evaluation.labels import SPEAKING, describe, setting_name, setting_value
from medgrid.evaluation.published import sizes
from medgrid.evaluation.selection import scores
from medgrid.report.tables import read

LONG = 60  # characters of a label, above which values stand without the names of their settings


def where(table: pd.DataFrame, columns: list[str], values: tuple) -> pd.DataFrame:
    """The rows that have these values in these columns."""
    for column, value in zip(columns, values, strict=True):
        table = table[table[column] == value]
    return table


def settings_in(cells: pd.DataFrame, axes: list[str]) -> list[tuple]:
    """The settings of some axes that these cells have, in order of appearance."""
    return list(dict.fromkeys(cells[axes].itertuples(index=False, name=None))) if axes else [()]


def _order(values: list) -> list[str]:
    """Distinct values as labels: numbers ascending, words in order of appearance, what is absent last."""
    distinct = list(dict.fromkeys(tuple(value) if isinstance(value, list) else value for value in values))

    def place(value: Any) -> tuple:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (value is None, not number, value if number else distinct.index(value))

    return [setting_value(value) for value in sorted(distinct, key=place)]


class Study:
    """A study's settings and tables, as the figures want them.

    `cells`: the settings of each cell as labels, by cell id, in the order of the grid. Some cells lack a setting that
    others have, and cells beside the product of the axes leave gaps in it: nothing here supposes a full grid.
    """

    def __init__(self, settings: dict, folder: Path):
        self.settings, self.folder = settings, folder
        self.axes: list[str] = settings["axes"]
        self.classes: list[str] = settings["classes"]
        self.values = {axis: _order([cell[axis] for cell in settings["cells"]]) for axis in self.axes}
        self.cells = pd.DataFrame(
            [{axis: setting_value(cell[axis]) for axis in self.axes} for cell in settings["cells"]],
            index=[cell["id"] for cell in settings["cells"]],
        )
        self.varied = self._varied()
        self.means = read(folder / "cells.csv")
        self.best = self.means[self.means["checkpoint"] == "best"].set_index("cell", drop=False)
        self.replicates = read(folder / "replicates.csv")
        self.models = self.values["model"] if "model" in self.axes else [None]

    def _varied(self) -> list[str]:
        """The axes that tell cells apart: without those of one value, and those that an earlier word implies.

        A study's plain networks train from scratch and its other ones do not: there the model says the mode.
        """
        several = [axis for axis in self.axes if len(self.values[axis]) > 1]
        kept: list[str] = []
        for axis in several:
            words = [each for each in kept if all(isinstance(cell[each], str) for cell in self.settings["cells"])]
            if not any((self.cells.groupby(word)[axis].nunique() == 1).all() for word in words):
                kept.append(axis)
        return kept or self.axes[-1:]

    @cached_property
    def jobs(self) -> list[dict]:
        """Description of each job."""
        folders = (self.folder / "jobs" / job for job in self.settings["jobs"])
        return [json.loads((folder / "job.json").read_text()) for folder in folders]

    @cached_property
    def network_sizes(self) -> pd.DataFrame:
        """What models.csv says of each cell's network, by cell."""
        models, classes = read(self.folder / "models.csv"), self.classes
        found = {cell: sizes(models, training, classes) for cell, training in self.settings["trainings"].items()}
        return pd.DataFrame({cell: row for cell, row in found.items() if row is not None}).T

    def of_model(self, table: pd.DataFrame, model: str | None) -> pd.DataFrame:
        return table if model is None else table[table["cell"].map(self.cells["model"]) == model]

    def cells_of(self, model: str | None) -> pd.DataFrame:
        return self.cells if model is None else self.cells[self.cells["model"] == model]

    def note(self, table: pd.DataFrame) -> str:
        weights = "; ".join(dict.fromkeys(table["weights"]))
        return f"{self.settings['data']} · weights: {weights} · {self.settings['protocol']} split"

    def label(self, cell: str, axes: list[str] | None = None) -> str:
        """A cell's settings in words, or, where those get long, as values alone (see `header`)."""
        axes = self.varied if axes is None else axes
        row = self.cells.loc[cell, axes]
        if self.terse(axes):
            # values hold together with the dot behind them where a label is wrapped
            return "\u00a0· ".join(row)
        return describe(dict(row))

    def described(self, cell: str) -> str:
        """A cell's settings in words, however long."""
        return describe(dict(self.cells.loc[cell, self.varied]))

    def header(self, axes: list[str] | None = None) -> str:
        """What the values of a terse label are."""
        axes = self.varied if axes is None else axes
        return " · ".join(map(setting_name, axes)) if self.terse(axes) else ""

    def terse(self, axes: list[str]) -> bool:
        names = sum(len(setting_name(axis)) + 1 for axis in axes if axis not in SPEAKING)
        values = sum(max(map(len, self.values[axis])) + 2 for axis in axes)
        return len(axes) > 1 and names + values > LONG

    def scores(self, model: str | None = None) -> pd.Series:
        """By cell, what validation says: higher is better. Without cells of which a replicate diverged."""
        return scores(self.of_model(self.best, model), self.settings["select"])

    def chosen(self, model: str | None) -> str | None:
        """The cell that validation picks for a model, among those without a diverged replicate, if any is left."""
        score = self.scores(model)
        return None if score.empty else score.idxmax()

    @cached_property
    def _places(self) -> dict[str, list[tuple[str, int]]]:
        """Packs that hold a cell's replicates, and its place there."""
        indices: dict[str, list[tuple[str, int]]] = {}
        for job in self.settings["jobs"]:
            cells = np.load(self.folder / "jobs" / job / "predictions.npz")["cells"]
            for i, cell in enumerate(cells.tolist()):
                indices.setdefault(cell, []).append((job, i))
        return indices

    def jobs_of(self, cell: str) -> dict[str, dict]:
        """Description of each job that holds replicates of a cell, by its name."""
        described = dict(zip(self.settings["jobs"], self.jobs, strict=True))
        return {job: described[job] for job, _ in self._places[cell]}

    def paths(self, cell: str) -> list[str]:
        """The test images [n] of a cell, in the order of its probabilities."""
        job, _ = self._places[cell][0]
        return np.load(self.folder / "jobs" / job / "predictions.npz")["test_images"].tolist()

    def probabilities(self, cell: str, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [seeds, n, C] of a held-out part at the best epoch, and labels [n]."""
        found = []
        for job, i in self._places[cell]:
            predictions = np.load(self.folder / "jobs" / job / "predictions.npz")
            found.append(predictions[f"{part}_probabilities"][i, :, 0])
        return np.concatenate(found), predictions[f"{part}_labels"]
