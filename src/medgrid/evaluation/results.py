"""What a study's replicates measured, cell by cell, seed by seed and image by image."""

from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from medgrid.evaluation.statistics import per_image
from medgrid.training import CHECKPOINTS
from medgrid.utils.errors import MedgridError

BEST = CHECKPOINTS.index("best")


class StudyResults:
    """Test predictions and curves of a study, from its jobs below `folder`; clusters of test images from its split.

    `cells`: ids in the order of the grid; `settings`: the study's, as its manifest holds them.
    """

    def __init__(self, settings: dict, folder: Path, split: Path):
        self.settings, self.cells = settings, [cell["id"] for cell in settings["cells"]]
        self.axes: list[str] = settings["axes"]
        found: dict[str, dict[int, np.ndarray]] = {cell: {} for cell in self.cells}
        seconds, epochs, curves, diverged = {}, {}, [], set()
        for job in settings["jobs"]:
            with np.load(folder / "jobs" / job / "predictions.npz") as predictions:
                probabilities = predictions["test_probabilities"][:, :, BEST]
                self.labels, images = predictions["test_labels"], predictions["test_images"]
                taken, trained = predictions["seconds"], predictions["epochs"]
                for i, cell in enumerate(predictions["cells"].tolist()):
                    for j, seed in enumerate(predictions["seeds"].tolist()):
                        found[cell][seed] = probabilities[i, j]
                        seconds[cell, seed], epochs[cell, seed] = taken[i, j], trained[i, j]
                        if predictions["diverged_at"][i, j]:
                            diverged.add((cell, seed))
            curves.append(pd.read_csv(folder / "jobs" / job / "curves.csv"))
        self.seeds = sorted(set.intersection(*(set(own) for own in found.values())))
        # [cells, seeds, n, C]
        self.probabilities = np.stack([[found[cell][seed] for seed in self.seeds] for cell in self.cells])
        self.diverged = pd.DataFrame(
            [[(cell, seed) in diverged for seed in self.seeds] for cell in self.cells], self.cells, self.seeds
        )
        # a training that diverged is taken for chance, not for what it was before
        self.probabilities[self.diverged.to_numpy()] = np.nan
        self.seconds_per_epoch = pd.DataFrame(
            [[seconds[cell, seed] / max(epochs[cell, seed], 1) for seed in self.seeds] for cell in self.cells],
            self.cells,
            self.seeds,
        ).where(~self.diverged)
        self.curves = pd.concat(curves, ignore_index=True)
        table = pd.read_csv(split, keep_default_na=False, dtype=str)
        table = table[table["part"] == "test"].set_index("path")
        if missing := set(images.tolist()) - set(table.index):
            raise MedgridError(f"{split} has no test image {min(missing)}: it is not the split of these results")
        self.clusters = table.loc[images, "cluster"].to_numpy(int)
        self.training_images = int((pd.read_csv(split, usecols=["part"])["part"] == "train").sum())

    @cached_property
    def values(self) -> pd.DataFrame:
        """Each cell's settings, by id."""
        table = pd.DataFrame.from_dict(self.settings["trainings"], orient="index").loc[self.cells]
        # what a cell lacks is None, also among numbers: NaN is not even equal to itself
        return table.astype(object).where(table.notna(), None)

    @cache  # noqa: B019 - a study lives as long as its job
    def contributions(self, metric: str) -> np.ndarray:
        """What each test image contributes to a metric at the best epoch, [cells, seeds, n]; see `per_image`."""
        found = [per_image(metric.removeprefix("test_"), own, self.labels) for own in self.probabilities]
        return np.stack(found)

    def by_seed(self, metric: str) -> pd.DataFrame:
        """A metric on the test set at the best epoch: a row for each cell, a column for each seed."""
        return pd.DataFrame(self.contributions(metric).mean(2), self.cells, self.seeds)

    def weighted(self, weights: pd.Series, metric: str) -> np.ndarray:
        """The same of a weighted sum over cells, [seeds, n]."""
        rows = self.contributions(metric)[[self.cells.index(cell) for cell in weights.index]]
        return np.tensordot(weights.to_numpy(), rows, 1)

    @cached_property
    def _runs(self) -> list[tuple[str, int, pd.DataFrame]]:
        runs = self.curves.sort_values("epoch").groupby(["cell", "seed"], sort=False)
        return [(cell, seed, run) for (cell, seed), run in runs if not self.diverged.loc[cell, seed]]

    def of_curves(self, measure) -> pd.DataFrame:
        """`measure(curves of one training)` for each cell and seed; NaN where it diverged."""
        found = {(cell, seed): measure(run) for cell, seed, run in self._runs}
        rows = [[found.get((cell, seed), np.nan) for seed in self.seeds] for cell in self.cells]
        return pd.DataFrame(rows, self.cells, self.seeds, dtype=float)
