"""Results of a finished study: the only reader of its training jobs and of its tables."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgrid.config.metrics import METRICS
from medgrid.data import UNLABELLED
from medgrid.evaluation.contributions import contributions
from medgrid.evaluation.metrics import Predicted, measure
from medgrid.evaluation.networks import network_row
from medgrid.evaluation.selection import best_cell, validation_scores
from medgrid.evaluation.statistics import Estimate, estimate
from medgrid.grid.manifest import StudyManifest
from medgrid.training.predictions import CHECKPOINTS, Predictions, job_blocks, read_predictions
from medgrid.utils.errors import MedgridError

# columns that hold names: a class may be called `None` or `01`
TEXT_COLUMNS: dict[Any, type] = dict.fromkeys(("cell", "class", "predicted", "label", "path"), str)


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file; only an empty field is a missing value, and names are text."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=TEXT_COLUMNS)


@dataclass(frozen=True)
class Replicate:
    """One training: a cell with a seed. `block`: folder of its results; `index`: where it is in `predictions`."""

    cell: str
    seed: int
    block: Path
    predictions: Predictions
    index: tuple[int, int]

    def probabilities(self, part: str, checkpoint: str = "best") -> np.ndarray:
        """Probabilities [images, classes] of a held-out part; not finite when the training diverged too early."""
        return self.predictions.probabilities[part][self.index][CHECKPOINTS.index(checkpoint)]

    def unlabelled_probabilities(self) -> np.ndarray:
        """Probabilities [images, classes] of the unlabelled images at the best epoch."""
        return self.predictions.probabilities[UNLABELLED][self.index]

    def epoch(self, checkpoint: str) -> int:
        """Epoch of a checkpoint, from 1; 0 when the training diverged before any epoch was the best."""
        return int((self.predictions.best_epoch if checkpoint == "best" else self.predictions.epochs)[self.index])

    def penalty(self, checkpoint: str) -> float:
        """What L1 and L2 penalties add to the loss."""
        return float(self.predictions.penalty[self.index][CHECKPOINTS.index(checkpoint)])

    @property
    def diverged_at(self) -> int:
        """Epoch in which the training diverged, from 1; 0 when it did not."""
        return int(self.predictions.diverged_at[self.index])

    @property
    def seconds(self) -> float:
        """Training time; a stack's time is divided evenly among its members."""
        return float(self.predictions.seconds[self.index])


class StudyResults:
    """Predictions, learning curves and tables of the study in `folder` (`results/<study>`).

    Lists and tables by cell follow `cells`, the order of the grid. Only `seeds`, which the manifest names, are read;
    a folder may hold more. Files are read on first access.

    `split` is the CSV of the study's split. Only `clusters`, `deduplicated`, `lookup`, `training_images` and
    `split_sizes` need it. Of a study with several splits, these are the results of one: that with this `number`,
    counted from 0.
    """

    def __init__(self, manifest: StudyManifest, folder: Path, split: Path | None = None, number: int = 0):
        self.manifest, self.folder, self.split, self.number = manifest, folder, split, number
        self.cells: list[str] = [cell["id"] for cell in manifest.cells]
        self.axes: list[str] = manifest.axes
        self.seeds: list[int] = list(manifest.seeds_of_split(number))

    # training jobs

    @cached_property
    def blocks(self) -> list[Path]:
        """Folders of the study's training jobs: one for each block of seeds of a job."""
        return job_blocks(self.folder, self.manifest.jobs_of_splits[self.number])

    @cached_property
    def replicates(self) -> dict[tuple[str, int], Replicate]:
        """Trainings by cell and seed. Raises MedgridError when one is missing."""
        trainings: dict[tuple[str, int], Replicate] = {}
        for block in self.blocks:
            predictions = read_predictions(block)
            for i, cell in enumerate(predictions.cells):
                for j, seed in enumerate(predictions.seeds):
                    trainings.setdefault((cell, seed), Replicate(cell, seed, block, predictions, (i, j)))
        wanted = [(cell, seed) for cell in self.cells for seed in self.seeds]
        for cell, seed in wanted:
            if (cell, seed) not in trainings:
                raise MedgridError(f"{self.folder} has no results of cell {cell} with seed {seed}; train it first")
        return {key: trainings[key] for key in wanted}

    def replicates_of(self, cell: str) -> list[Replicate]:
        """Trainings of a cell, by seed."""
        return [self.replicates[cell, seed] for seed in self.seeds]

    def blocks_of(self, cell: str) -> list[Path]:
        """Folders with the replicates of a cell."""
        return list(dict.fromkeys(replicate.block for replicate in self.replicates_of(cell)))

    @cache  # noqa: B019 - the results live as long as the process
    def description(self, block: Path) -> dict[str, Any]:
        """Settings, weights, machine and versions of the training job behind a block (its job.json)."""
        return json.loads((block / "job.json").read_text(encoding="utf-8"))

    # predictions

    def images(self, part: str) -> list[str]:
        """Paths of the images of a part, in the order of the predictions."""
        return next(iter(self.replicates.values())).predictions.images[part]

    def labels(self, part: str) -> np.ndarray:
        """Class numbers [images] of a held-out part."""
        return next(iter(self.replicates.values())).predictions.labels[part]

    def predictions(self, cell: str, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [seeds, images, classes] of a held-out part at the best epoch, and labels [images]."""
        probabilities = np.stack([replicate.probabilities(part) for replicate in self.replicates_of(cell)])
        return probabilities, self.labels(part)

    def _by_training(self, values: Callable[[Replicate], Any]) -> pd.DataFrame:
        """A value of each training: a row for each cell, a column for each seed."""
        rows = [[values(replicate) for replicate in self.replicates_of(cell)] for cell in self.cells]
        return pd.DataFrame(rows, self.cells, self.seeds)

    @cached_property
    def diverged(self) -> pd.DataFrame:
        """Whether each training diverged: a row for each cell, a column for each seed."""
        return self._by_training(lambda replicate: replicate.diverged_at > 0)

    @cached_property
    def seconds_per_epoch(self) -> pd.DataFrame:
        """Training time per epoch: a row for each cell, a column for each seed; NaN when the training diverged."""
        seconds = self._by_training(lambda replicate: replicate.seconds / max(replicate.epoch("last"), 1))
        return seconds.where(~self.diverged)

    @cache  # noqa: B019 - the results live as long as the process
    def contributions(self, metric: str) -> np.ndarray:
        """What each test image contributes to a metric at the best epoch, [cells, seeds, images].

        The mean over images is the metric. A diverged training counts as chance, also if its earlier predictions were
        better.
        """
        values = []
        for cell in self.cells:
            probabilities, labels = self.predictions(cell)
            probabilities[self.diverged.loc[cell].to_numpy()] = np.nan
            values.append(contributions(metric, probabilities, labels))
        return np.stack(values)

    def by_seed(self, metric: str) -> pd.DataFrame:
        """A metric of the test set at the best epoch: a row for each cell, a column for each seed."""
        return pd.DataFrame(self.contributions(metric).mean(2), self.cells, self.seeds)

    def chance(self, metric: str) -> float:
        """A metric of the test set, of predictions that give each class the same probability."""
        labels = self.labels("test")
        return float(contributions(metric, np.full((len(labels), len(self.manifest.classes)), np.nan), labels).mean())

    def weighted(self, weights: pd.Series, metric: str) -> np.ndarray:
        """Contributions of test images to a weighted sum of a metric over cells, [seeds, images]."""
        rows = self.contributions(metric)[[self.cells.index(cell) for cell in weights.index]]
        return np.tensordot(weights.to_numpy(), rows, 1)

    def validation_by_seed(self) -> pd.DataFrame:
        """Validation score at the best epoch: a row for each cell, a column for each seed; higher is better.

        NaN when the training diverged.
        """
        metric, labels = self.manifest.select, self.labels("validation")
        scores = self._by_training(
            lambda replicate: measure(metric, Predicted(replicate.probabilities("validation"), labels))
        )
        return METRICS[metric].sign * scores.where(~self.diverged)

    # estimates; `ResampledResults` overrides them

    over, over_trainings = "seeds and test images", "seeds"  # what intervals of the two estimates cover

    @cache  # noqa: B019 - the results live as long as the process
    def by_replicate(self, metric: str) -> pd.DataFrame:
        """A metric of the test set: a row for each cell, a column for each seed; higher is better."""
        return METRICS[metric].sign * self.by_seed(metric)

    def estimate(self, weights: pd.Series, metric: str) -> Estimate:
        """A weighted sum over cells of a metric of the test set; higher is better."""
        return estimate(METRICS[metric].sign * self.weighted(weights, metric), self.clusters)

    def estimate_of_trainings(self, values: np.ndarray, curve: str | None = None) -> Estimate:
        """The mean of one value for each seed [seeds], without NaN. `curve`: what it was read from."""
        return estimate(values)

    def above_lookup(self, cell: str, metric: str) -> np.ndarray:
        """What each test image contributes to the difference of a cell from the lookup, [seeds, images]."""
        baseline = contributions(metric, np.eye(len(self.manifest.classes))[self.lookup], self.labels("test"))
        return self.contributions(metric)[self.cells.index(cell)] - baseline

    def estimate_above_lookup(self, cell: str, metric: str) -> Estimate:
        """A metric of a cell minus that of the lookup, which is the same for all seeds; higher is better."""
        return estimate(self.above_lookup(cell, metric), self.clusters)

    # learning curves

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Learning curves of all trainings, in the order of cells, seeds and epochs."""
        curves = pd.concat([self._curves_of(block) for block in self.blocks], ignore_index=True)
        order = curves["cell"].map({cell: i for i, cell in enumerate(self.cells)})
        return curves.iloc[np.lexsort((curves["epoch"], curves["seed"], order))].reset_index(drop=True)

    def _curves_of(self, block: Path) -> pd.DataFrame:
        # of a seed that two blocks hold, only the first block counts
        curves = pd.read_csv(block / "curves.csv", dtype={"cell": str})
        used = {key for key, replicate in self.replicates.items() if replicate.block == block}
        keys = zip(curves["cell"], curves["seed"], strict=True)
        return curves[[key in used for key in keys]]

    @cached_property
    def _curves_by_training(self) -> dict[tuple[str, int], pd.DataFrame]:
        return dict(iter(self.curves.groupby(["cell", "seed"], sort=False)))

    def curve(self, cell: str, seed: int) -> pd.DataFrame:
        """Learning curves of a training, a row for each epoch."""
        return self._curves_by_training[cell, seed]

    def of_curves(self, measure: Callable[[pd.DataFrame], float]) -> pd.DataFrame:
        """`measure(learning curves)` of each training: a row for each cell, a column for each seed.

        NaN for diverged trainings.
        """
        return self._by_training(
            lambda training: np.nan if training.diverged_at else measure(self.curve(training.cell, training.seed))
        ).astype(float)

    # settings

    @cached_property
    def settings(self) -> pd.DataFrame:
        """Settings of each cell's training, a row for each cell; None where a setting is not given."""
        trainings = [self.manifest.trainings[cell].model_dump() for cell in self.cells]
        return pd.DataFrame(trainings, self.cells, dtype=object)

    @cached_property
    def axis_values(self) -> pd.DataFrame:
        """Value of each cell on each axis; None where the axis does not apply to the cell."""
        return pd.DataFrame(self.manifest.cells, self.cells, dtype=object)[self.axes]

    @cached_property
    def network_sizes(self) -> pd.DataFrame:
        """Rows of networks.csv by cell, without cells whose network is not listed."""
        networks = read_table(self.folder / "networks" / "networks.csv")
        trainings, classes = self.manifest.trainings, self.manifest.classes
        rows = {cell: network_row(networks, trainings[cell], classes) for cell in self.cells}
        return pd.DataFrame({cell: row for cell, row in rows.items() if row is not None}).T

    # tables and what they select

    @cache  # noqa: B019 - the results live as long as the process
    def table(self, name: str) -> pd.DataFrame:
        """The table `tables/<name>.csv`. Do not change it in place."""
        return read_table(self.folder / "tables" / f"{name}.csv")

    @cached_property
    def claims(self) -> dict[str, Any]:
        """Verdicts on the study's claims (tables/claims.json), as `medgrid.evaluation.verdicts` describes."""
        return json.loads((self.folder / "tables" / "claims.json").read_text(encoding="utf-8"))

    def validation_scores(self, model: str | None = None) -> pd.Series:
        """Validation score by cell, of all cells or of those of a model; higher is better.

        Cells with a diverged replicate are left out.
        """
        cells = self.table("cells")
        best = cells[cells["checkpoint"] == "best"].set_index("cell")
        if model is not None:
            best = best[[self.manifest.trainings[cell].model == model for cell in best.index]]
        return validation_scores(best, self.manifest.select)

    def best_cell(self, model: str | None = None) -> str | None:
        """The cell with the highest validation score, of all cells or of a model's; None when no cell has one."""
        return best_cell(self.validation_scores(model))

    # the split

    @cached_property
    def _split_table(self) -> pd.DataFrame:
        if self.split is None:
            raise ValueError("StudyResults was made without a split")
        return pd.read_csv(self.split, keep_default_na=False, dtype=str)

    @cached_property
    def _test_rows(self) -> pd.DataFrame:
        table = self._split_table[self._split_table["part"] == "test"].set_index("path")
        images = self.images("test")
        if missing := set(images) - set(table.index):
            raise MedgridError(f"{self.split} has no test image {min(missing)}: it is not the split of these results")
        return table.loc[images]

    @cached_property
    def clusters(self) -> np.ndarray:
        """Cluster ids [test images]: copies and images of one patient share one."""
        return self._test_rows["cluster"].to_numpy(int)

    @cached_property
    def deduplicated(self) -> np.ndarray:
        """Which of the test images have no near-duplicate in the training part, bool [test images]."""
        return (self._test_rows["near_duplicate"] == "no").to_numpy()

    def _units(self, parts: list[str]) -> int:
        """Number of units that are dealt to these parts: clusters, or images under the published protocol."""
        clusters = self._split_table.loc[self._split_table["part"].isin(parts), "cluster"]
        return len(clusters) if self.manifest.protocol == "published" else clusters.nunique()

    @property
    def _validation(self) -> list[str]:
        return [] if self.manifest.split.validation == "test" else ["validation"]

    @cached_property
    def split_sizes(self) -> tuple[int, int]:
        """Numbers of units that are tested, and that train or validate."""
        return self._units(["test"]), self._units(["train", *self._validation])

    @cached_property
    def training_sizes(self) -> tuple[int, int]:
        """Numbers of units that train, and that validate or are tested."""
        return self._units(["train"]), self._units(["test", *self._validation])

    @cached_property
    def lookup(self) -> np.ndarray | None:
        """Class number that the nearest-thumbnail lookup predicts for each test image, int [test images].

        None where the split has none: `predictions.npz` of earlier versions.
        """
        if "lookup" not in self._test_rows:
            return None
        numbers = {name: number for number, name in enumerate(self.manifest.classes)}
        return self._test_rows["lookup"].map(numbers).to_numpy(int)

    @cached_property
    def training_images(self) -> int:
        """Number of images in the training part."""
        return int((self._split_table["part"] == "train").sum())
