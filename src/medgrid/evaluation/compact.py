"""Predictions of a study in one small file, which Git can hold: verdicts can be recomputed from it without training.

`predictions.npz` holds the predictions of each block of seeds (`training/predictions.py`), with two differences.
Probabilities of held-out images are logarithms in float16, rounded so that the most probable class stays the same;
those of unlabelled images are left out. What all blocks share (classes, images and labels, and what the evaluation
needs of the split) is held once. Of a study with several splits, the arrays of each split but the first have names
that begin with that of the split.

Tolerances for each training, tested: metrics of predicted classes, such as accuracy, are equal; losses and
calibration errors differ by less than 0.001, temperatures by less than 0.02, areas under curves by less than 0.001
for 60 images (the order of a pair of images changes them) and by less for more. Ends of intervals over two or three
replicates may differ by ten times as much.
"""

import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medgrid.data import HELD_OUT
from medgrid.grid.manifest import StudyManifest
from medgrid.training.predictions import PER_TRAINING, Predictions, job_blocks, read_predictions, write_predictions
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

FILE = "predictions.npz"
PREDICTED = np.float16(1)  # no logarithm of a probability
OTHER_PARTS = ("train", "validation")  # whose clusters are counted where there are several splits
JOB_TEXTS = ("curves.csv", "job.json")  # kept as they are
PRECISION = {"best_epoch": np.int32, "epochs": np.int32, "diverged_at": np.int32}  # of the others: float64


def to_log16(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms in float16 of probabilities [..., classes] of sum 1, with PREDICTED for the most probable class.

    `from_log16` restores it from the others, so most values are the same and compress well. The most probable class
    stays the same. Not-a-number stays as it is.
    """
    predicted = probabilities.argmax(-1)
    is_predicted = np.arange(probabilities.shape[-1]) == predicted[..., None]
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities.astype(np.float64)).astype(np.float16)
    logs[is_predicted & np.isfinite(logs)] = PREDICTED
    # rounding may have made another class more probable
    while (changed := from_log16(logs).argmax(-1) != predicted).any():
        logs[changed] = np.where(is_predicted[changed], PREDICTED, np.nextafter(logs[changed], np.float16(-np.inf)))
    return logs


def from_log16(logs: np.ndarray) -> np.ndarray:
    """Probabilities (float32, of sum 1) from `to_log16`."""
    others = np.where(logs == PREDICTED, 0, np.exp(logs.astype(np.float32)))
    return np.where(logs == PREDICTED, 1 - others.sum(-1, keepdims=True), others)


def _pack(logs: np.ndarray) -> np.ndarray:
    """[cells, seeds, 2, images, classes] in an order that compresses well: bytes apart, trainings last."""
    by_image = np.ascontiguousarray(np.moveaxis(logs, (-2, -1), (0, 1)))
    return np.moveaxis(by_image[..., None].view(np.uint8), -1, 0)


def _unpack(planes: np.ndarray) -> np.ndarray:
    """Undo `_pack`."""
    by_image = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view(np.float16)[..., 0]
    return np.moveaxis(by_image, (0, 1), (-2, -1))


def _encode(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _decode(array: np.ndarray) -> str:
    return array.tobytes().decode()


def _lines(array: np.ndarray) -> list[str]:
    return _decode(array).split("\n")


def _shared(predictions: Predictions, split: Path, several: bool) -> dict[str, np.ndarray]:
    """What all blocks of a split have in common, and what the evaluation needs of it; `several`: are there others?"""
    parts = pd.read_csv(split, keep_default_na=False, dtype=str)
    test = parts[parts["part"] == "test"].set_index("path").loc[list(predictions.images["test"])]
    arrays = {
        "classes": _encode("\n".join(predictions.classes)),
        "test_clusters": test["cluster"].to_numpy(np.int32),
        "test_near_duplicates": (test["near_duplicate"] == "yes").to_numpy(),
        "training_images": np.array((parts["part"] == "train").sum()),
    }
    if "lookup" in test:
        arrays["test_lookup"] = _encode("\n".join(test["lookup"]))
    for part in HELD_OUT:
        arrays[f"{part}_images"] = _encode("\n".join(predictions.images[part]))
        arrays[f"{part}_labels"] = np.asarray(predictions.labels[part], np.int16)
    if several:
        for part in OTHER_PARTS:
            arrays[f"{part}_clusters"] = parts.loc[parts["part"] == part, "cluster"].to_numpy(np.int32)
    return arrays


def _block_arrays(block: Path, predictions: Predictions) -> dict[str, np.ndarray]:
    arrays = {"cells": _encode("\n".join(predictions.cells)), "seeds": np.array(predictions.seeds, np.int32)}
    for name in PER_TRAINING:
        arrays[name] = getattr(predictions, name).astype(PRECISION.get(name, np.float64))
    for part in HELD_OUT:
        arrays[part] = _pack(to_log16(predictions.probabilities[part]))
    return arrays | {name: _encode((block / name).read_text(encoding="utf-8")) for name in JOB_TEXTS}


def write_compact(manifest: StudyManifest, folder: str, split: str, target: str) -> None:
    """Write the predictions of the study in `folder` to `target`, with what the evaluation needs of the CSV `split`.

    The CSVs of other splits are next to it. Raises MedgridError when blocks of seeds do not predict the same images.
    """
    several = bool(manifest.other_splits)
    contents = _split_arrays(job_blocks(Path(folder), manifest.jobs), Path(split), several)
    for other in manifest.other_splits:
        blocks = job_blocks(Path(folder), other.jobs)
        arrays = _split_arrays(blocks, Path(split).with_name(f"{other.split}.csv"), several)
        contents |= {f"{other.split}/{name}": array for name, array in arrays.items()}
    if several:
        contents["other_splits"] = _encode("\n".join(other.split for other in manifest.other_splits))
    # as numpy.savez, but LZMA makes the file a sixth smaller than numpy's own compression
    with atomic_write(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in contents.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _split_arrays(blocks: list[Path], split: Path, several: bool) -> dict[str, Any]:
    """Arrays of the blocks of seeds on a split."""
    arrays: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    for block in blocks:
        predictions = read_predictions(block)
        if not shared:
            shared = _shared(predictions, split, several)
        elif any(predictions.images[part] != _lines(shared[f"{part}_images"]) for part in HELD_OUT):
            raise MedgridError(f"{block} and {blocks[0]} predict different images; train {block} again")
        name = f"{block.parent.name}/{block.name}"
        arrays |= {f"{name}/{key}": array for key, array in _block_arrays(block, predictions).items()}
    names = "\n".join(f"{block.parent.name}/{block.name}" for block in blocks)
    return arrays | shared | {"blocks": _encode(names)}


class CompactPredictions:
    """Reader of a file of `write_compact`. Raises MedgridError when the file does not exist.

    `blocks`: the blocks of seeds (JOB/SEEDS). `others`: by name, the same of each other split.
    """

    def __init__(self, file: Path, prefix: str = ""):
        if not file.exists():
            raise MedgridError(
                f"{file} does not exist: no predictions of this study were committed; "
                "run the study: medgrid run -- STUDY"
            )
        self._file, self._prefix = file, prefix
        try:
            self._arrays = np.load(file)
        except (EOFError, ValueError, zipfile.BadZipFile) as error:
            raise self._damaged(error) from None
        self.blocks: list[str] = _lines(self._array("blocks"))
        names = _lines(self._array("other_splits")) if "other_splits" in self._arrays.files and not prefix else []
        self.others = {name: CompactPredictions(file, f"{name}/") for name in names}

    def _damaged(self, error: Exception) -> MedgridError:
        return MedgridError(f"{self._file} is damaged ({error}); get it again: git checkout -- {self._file}")

    def _array(self, name: str) -> np.ndarray:
        try:
            return self._arrays[self._prefix + name]
        except (EOFError, KeyError, ValueError, zipfile.BadZipFile, lzma.LZMAError) as error:
            raise self._damaged(error) from None

    def text(self, block: str, name: str) -> str:
        """A file of a block, `curves.csv` or `job.json`."""
        return _decode(self._array(f"{block}/{name}"))

    def read(self, block: str) -> Predictions:
        """Predictions of a block of seeds (JOB/SEEDS), without unlabelled images."""
        arrays: dict[str, Any] = {name: self._array(f"{block}/{name}") for name in PER_TRAINING}
        return Predictions(
            cells=_lines(self._array(f"{block}/cells")),
            seeds=self._array(f"{block}/seeds").tolist(),
            classes=_lines(self._array("classes")),
            **arrays,
            probabilities={part: from_log16(_unpack(self._array(f"{block}/{part}"))) for part in HELD_OUT},
            images={part: _lines(self._array(f"{part}_images")) for part in HELD_OUT},
            labels={part: self._array(f"{part}_labels").astype(np.int64) for part in HELD_OUT},
        )

    def split(self) -> pd.DataFrame:
        """The part of the split that the evaluation reads: path, part and other columns of test images.

        Training images have a row each, without a path; of several splits, validation images too, with clusters.
        Files of earlier versions have no column `lookup`.
        """
        test = pd.DataFrame(
            {
                "path": _lines(self._array("test_images")),
                "part": "test",
                "cluster": self._array("test_clusters").astype(str),
                "near_duplicate": np.where(self._array("test_near_duplicates"), "yes", "no"),
            }
        )
        if f"{self._prefix}test_lookup" in self._arrays.files:
            test["lookup"] = _lines(self._array("test_lookup"))
        if self._prefix or self.others:
            clusters = {part: self._array(f"{part}_clusters") for part in OTHER_PARTS}
            others = [pd.DataFrame({"part": part, "cluster": ids.astype(str)}) for part, ids in clusters.items()]
        else:
            others = [pd.DataFrame({"part": ["train"] * int(self._array("training_images"))})]
        return pd.concat([test, *others], ignore_index=True)

    def unpack(self, folder: Path) -> Path:
        """Write the blocks as training jobs into `folder`/jobs, and the splits; returns the path of the first."""
        for name, other in self.others.items():
            other.unpack(folder).rename(folder / f"{name}.csv")
        for name in self.blocks:
            block = folder / "jobs" / name
            block.mkdir(parents=True)
            write_predictions(block, self.read(name))
            for file in JOB_TEXTS:
                (block / file).write_text(self.text(name, file), encoding="utf-8")
        split = folder / "split.csv"
        self.split().to_csv(split, index=False)
        return split
