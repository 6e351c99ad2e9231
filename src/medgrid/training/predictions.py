"""The predictions of a training job: the only reader and writer of `predictions.npz`."""

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from medgrid.data import HELD_OUT, UNLABELLED
from medgrid.utils.errors import MedgridError

T = TypeVar("T")

FILE = "predictions.npz"
# which weights of a training predict: those of its best epoch, those of its last
CHECKPOINTS = ("best", "last")
# arrays [cells, seeds], but for `penalty`: [cells, seeds, 2]
PER_TRAINING = ("best_epoch", "epochs", "diverged_at", "seconds", "penalty")


@dataclass(frozen=True)
class Predictions:
    """What the trainings of a job predict. The first two axes of all arrays are `cells` and `seeds`.

    Epochs count from 1. `best_epoch` is 0 when no epoch was finite, `diverged_at` is 0 when all were. `epochs` is
    how many were trained, `seconds` how long that took (a stack's time is divided evenly among its members).
    `penalty` [cells, seeds, 2] is what L1 and L2 add to the loss. The axis of length 2 follows CHECKPOINTS.

    `probabilities` are float32: [cells, seeds, 2, images, classes] for validation and test; [cells, seeds, images,
    classes], by the best epoch, for unlabelled images, if there are any. They are NaN when a training diverged.
    `images` are paths by part, `labels` class numbers (int64) by held-out part.
    """

    cells: list[str]
    seeds: list[int]
    classes: list[str]
    best_epoch: np.ndarray
    epochs: np.ndarray
    diverged_at: np.ndarray
    seconds: np.ndarray
    penalty: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    images: Mapping[str, list[str]]
    labels: Mapping[str, np.ndarray]

    @property
    def unlabelled_probabilities(self) -> np.ndarray | None:
        """[cells, seeds, images, classes] of the best epochs; None when the data set has no unlabelled images."""
        return self.probabilities.get(UNLABELLED)


class _LazyArrays(Mapping[str, T]):
    """Arrays `<part>_<kind>` of an .npz file by part, each read on first access."""

    def __init__(self, path: Path, kind: str, parts: Iterable[str], as_list: bool = False):
        self._path, self._kind, self._parts, self._as_list = path, kind, tuple(parts), as_list
        self._arrays: dict[str, T] = {}

    def __getitem__(self, part: str) -> T:
        if part not in self._parts:
            raise KeyError(part)
        if part not in self._arrays:
            with np.load(self._path) as file:
                array = file[f"{part}_{self._kind}"]
            self._arrays[part] = array.tolist() if self._as_list else array
        return self._arrays[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write `predictions.npz` into the folder of a job's block of seeds."""
    arrays: dict[str, Any] = {
        name: np.asarray(getattr(predictions, name)) for name in ("cells", "seeds", "classes", *PER_TRAINING)
    }
    for part in predictions.probabilities:
        arrays[f"{part}_probabilities"] = predictions.probabilities[part]
        arrays[f"{part}_images"] = np.asarray(predictions.images[part])
        if part in predictions.labels:
            arrays[f"{part}_labels"] = predictions.labels[part]
    np.savez(folder / FILE, **arrays)


def read_predictions(folder: Path) -> Predictions:
    """Predictions of a job's block of seeds; the large arrays of each part are read on first access.

    Raises MedgridError when the file is damaged.
    """
    path = folder / FILE
    try:
        with np.load(path) as file:
            parts = [part for part in (*HELD_OUT, UNLABELLED) if f"{part}_probabilities" in file.files]
            lists = {name: file[name].tolist() for name in ("cells", "seeds", "classes")}
            arrays = {name: file[name] for name in PER_TRAINING}
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise MedgridError(f"{path} is damaged ({error}); delete {folder} and run the study again") from None
    return Predictions(
        **lists,
        **arrays,
        probabilities=_LazyArrays(path, "probabilities", parts),
        images=_LazyArrays(path, "images", parts, as_list=True),
        labels=_LazyArrays(path, "labels", HELD_OUT),
    )


def job_blocks(study_folder: Path, jobs: Iterable[str]) -> list[Path]:
    """Folders of the blocks of seeds of `jobs` (names of folders below `jobs/`), in the order of jobs and of seeds.

    Raises MedgridError when a job has no results.
    """
    blocks: list[Path] = []
    for job in jobs:
        folder = study_folder / "jobs" / job
        finished = [path for path in folder.glob("seeds-*") if re.fullmatch(r"seeds-\d+(-\d+)?", path.name)]
        if not finished:
            raise MedgridError(f"{folder} has no results; run the study's training jobs")
        blocks += sorted(finished, key=lambda path: int(path.name.split("-")[1]))
    return blocks
