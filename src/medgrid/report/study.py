"""A finished study as figures and page read it."""

from pathlib import Path

import numpy as np
import pandas as pd

# how a setting is called on an axis, where its key does not say it
NAMES = {"lr": "learning rate"}


def setting_name(setting: str) -> str:
    return NAMES.get(setting, setting.replace("_", " "))


def setting_value(given) -> str:
    """A setting's value as a label; rates in the shortest form, such as 1e-05 or 0.001."""
    return f"{given:g}" if isinstance(given, float) else str(given)


def read(path: Path) -> pd.DataFrame:
    """Read a table in which only an empty field is missing: a class may well be called `None`."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


class Study:
    """A study's settings and tables, as the figures want them."""

    def __init__(self, settings: dict, folder: Path):
        self.settings, self.folder = settings, folder
        self.axes: list[str] = settings["axes"]
        self.cells = pd.DataFrame(settings["cells"]).set_index("id", drop=False)
        self.classes: list[str] = settings["classes"]
        self.means = read(folder / "cells.csv")
        self.replicates = read(folder / "replicates.csv")
        self.models = list(dict.fromkeys(self.replicates["model"])) if "model" in self.axes else [None]

    def of_model(self, table: pd.DataFrame, model: str | None) -> pd.DataFrame:
        return table if model is None else table[table["cell"].map(self.cells["model"]) == model]

    def note(self, table: pd.DataFrame) -> str:
        weights = "; ".join(dict.fromkeys(table["weights"]))
        return f"{self.settings['data']} · weights: {weights} · {self.settings['protocol']} split"

    def label(self, cell: str, axes: list[str]) -> str:
        row = self.cells.loc[cell]
        return ", ".join(
            row[axis] if axis == "model" else f"{setting_name(axis)} {setting_value(row[axis])}" for axis in axes
        )

    def chosen(self, model: str | None) -> str | None:
        """The cell that validation picks for a model, among those without a diverged replicate, if any is left."""
        best = self.of_model(self.means[self.means["checkpoint"] == "best"], model)
        score = best[f"{self.settings['select']}_mean"] * (-1 if self.settings["select"].endswith("accuracy") else 1)
        # a mean over the replicates that survived would flatter a cell in which some diverged
        score = score[(best["diverged"] == 0) & score.notna()]
        return None if score.empty else best.loc[score.idxmin(), "cell"]

    def probabilities(self, cell: str) -> tuple[np.ndarray, np.ndarray]:
        """Test probabilities [seeds, n, C] at the best epoch, and labels [n]."""
        for pack in self.settings["packs"]:
            predictions = np.load(self.folder / "packs" / pack / "predictions.npz")
            where = np.flatnonzero(predictions["cells"] == cell)
            if len(where):
                return predictions["test_probabilities"][where[0], :, 0], predictions["test_labels"]
        raise KeyError(cell)
