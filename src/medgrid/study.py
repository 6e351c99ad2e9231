"""The results of a study as data frames: `medgrid.load_study`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medgrid.grid.manifest import StudyManifest, read_manifest
from medgrid.utils.errors import MedgridError

if TYPE_CHECKING:
    from medgrid.training.predictions import Predictions

SELECTIONS = ("left", "right", "where")


@dataclass(frozen=True)
class StudyData:
    """The results of a study; each table is read when it is first used. Do not change tables in place.

    `cells`, `replicates` and `curves` are `tables/<name>.csv`. Metrics of classification (`test_accuracy`,
    `test_auc_macro`, ...) are shares from 0 to 1 (kappa: -1 to 1), losses are in nats, `seconds` is training time in
    seconds. Epochs count from 1. Intervals (`_low`, `_high`) are 95 % intervals. Each cell or replicate has two
    rows in the first two tables, one for each checkpoint: `best` (the epoch that the validation part selects) and
    `last`.
    """

    folder: Path
    manifest: StudyManifest

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Means over replicates: `cell`, the axes of the grid, `checkpoint`, and `<metric>_mean`, `_low`, `_high`.

        `replicates` counts the trainings of a cell, `diverged` those left out of the metrics.
        """
        return self._table("cells")

    @cached_property
    def replicates(self) -> pd.DataFrame:
        """Metrics of each training: `cell`, the axes, `seed`, `checkpoint`, `status`, `best_epoch`, and metrics."""
        return self._table("replicates")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Mean learning curves: `cell`, `epoch`, `seeds` (how many), and `<curve>_mean`, `_min`, `_max` over seeds.

        Curves are `train_loss`, `train_accuracy`, `validation_loss` and `validation_accuracy`.
        """
        return self._table("curves")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Predictions of test images at the best epoch; a row for each cell, seed and image.

        Columns: `cell`, `seed`, `path`, `label` and `predicted` (class names), and the probability of each class,
        `probability_<class>` (NaN in a training that diverged, whose `predicted` is missing). They are read from the
        training jobs in `jobs/`, or else from `predictions.npz`, where they are rounded (`evaluation/compact.py`).
        Raises MedgridError when there are neither.
        """
        rows = [self._rows(predictions) for predictions in self._blocks()]
        table = pd.concat(rows, ignore_index=True)
        table = table[table["seed"] < self.manifest.replicates]
        order = {cell["id"]: i for i, cell in enumerate(self.manifest.cells)}
        by_cell = table["cell"].map(order)
        return table.iloc[np.lexsort((table["seed"], by_cell))].reset_index(drop=True)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Comparisons behind the verdicts; a row each.

        Columns: `claim` (its name), `text`, `claim_verdict` (of all its comparisons); then of each comparison
        `relation`, `left`, `right` and `where` (cells, as JSON), `metric`, `estimate` with its 95 % interval `low` to
        `high` in `unit`, `verdict`, and the other fields that `medgrid.evaluation.verdicts` describes.
        """
        rows = []
        content = json.loads((self.folder / "tables" / "claims.json").read_text(encoding="utf-8"))
        for claim in content["claims"]:
            heading = {"claim": claim["name"], "text": claim["text"], "claim_verdict": claim["verdict"]}
            for comparison in claim["comparisons"]:
                cells = {name: json.dumps(comparison[name]) for name in SELECTIONS if name in comparison}
                rows.append(heading | comparison | cells)
        return pd.DataFrame(rows)

    def _table(self, name: str) -> pd.DataFrame:
        from medgrid.evaluation.results import read_table

        return read_table(self.folder / "tables" / f"{name}.csv")

    def _blocks(self) -> "Iterator[Predictions]":
        """Predictions of each block of seeds of a training job."""
        from medgrid.evaluation.compact import FILE, CompactPredictions
        from medgrid.training.predictions import job_blocks, read_predictions

        if all((self.folder / "jobs" / job).is_dir() for job in self.manifest.jobs):
            yield from map(read_predictions, job_blocks(self.folder, self.manifest.jobs))
            return
        if not (self.folder / FILE).exists():
            raise MedgridError(
                f"{self.folder} has no predictions: neither the training jobs in jobs/ nor {FILE}. Run the study "
                "(`medgrid run -- STUDY`) or restore its jobs (`medgrid restore`)"
            )
        compact = CompactPredictions(self.folder / FILE)
        yield from map(compact.read, compact.blocks)

    def _rows(self, predictions: "Predictions") -> pd.DataFrame:
        """Rows of `predictions` from a block of seeds."""
        classes, images = np.array(predictions.classes), predictions.images["test"]
        best = predictions.probabilities["test"][:, :, 0]  # [cells, seeds, images, classes]
        shape = best.shape[:3]
        flat = best.reshape(-1, len(classes))
        cell, seed, image = (index.ravel() for index in np.indices(shape))
        predicted = pd.Series(classes[np.nan_to_num(flat).argmax(1)], dtype=str)
        columns = {
            "cell": np.array(predictions.cells)[cell],
            "seed": np.array(predictions.seeds)[seed],
            "path": np.array(images)[image],
            "label": classes[predictions.labels["test"]][image],
            "predicted": predicted.where(np.asarray(np.isfinite(flat).all(1))),
        }
        return pd.DataFrame(columns | {f"probability_{name}": flat[:, i] for i, name in enumerate(classes)})


def find_manifest(folder: Path) -> StudyManifest:
    """The manifest of the study in `folder`. Raises MedgridError when there is none."""
    files = [file for file in (folder / "manifest").glob("*.json") if not file.stem.startswith("page-")]
    if len(files) != 1:
        studies = sorted(path.parent.name for path in folder.parent.glob("*/manifest"))
        raise MedgridError(
            f"{folder} contains no results of a study (manifest/*.json); {folder.parent} contains "
            f"{', '.join(studies) or 'none'}. Create results with `medgrid run -- STUDY`"
        )
    return read_manifest(files[0])


def load_study(folder: str | Path) -> StudyData:
    """Results of a study from its folder, such as `results/NAME`; see `StudyData` for the tables.

    Raises MedgridError when the folder has no manifest or no tables.
    """
    folder = Path(folder)
    manifest = find_manifest(folder)
    if not (folder / "tables").is_dir():
        raise MedgridError(f"{folder} has no tables yet; run the study: medgrid run -- {manifest.study}")
    return StudyData(folder, manifest)
