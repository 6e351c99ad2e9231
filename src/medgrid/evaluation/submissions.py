"""Kaggle submission files."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from medgrid.evaluation.results import Replicate, StudyResults
from medgrid.grid.manifest import StudyManifest
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_folder


def identifiers(images: Sequence[str], pattern: str, name: str = "id") -> pd.Index:
    """The id of each image: what the group `id` of `pattern` matches.

    Raises MedgridError when two share one, ValueError when `pattern` does not match an image.
    """
    ids = pd.Index([_identifier(path, pattern) for path in images], name=name)
    if ids.has_duplicates:
        raise MedgridError(f"submissions: two unlabelled images have the id {ids[ids.duplicated()][0]}")
    return ids


def _identifier(path: str, pattern: str) -> str:
    if match := re.search(pattern, path):
        return match["id"]
    raise ValueError(f"{path} does not match {pattern}")


def _first_finite(replicates: list[Replicate]) -> np.ndarray | None:
    """Probabilities [images, classes] of the first replicate that did not diverge; None when all did."""
    for replicate in replicates:
        probabilities = replicate.unlabelled_probabilities()
        if np.isfinite(probabilities).all():
            return probabilities
    return None


def write_submissions(manifest: StudyManifest, folder: str) -> None:
    """Write `folder`/submissions/<cell>.csv for each cell, from the training jobs below `folder`.

    Columns: id and probability of the last class, for each image without a label; their names are those of the data
    set's table of labels, or id and label. A file contains the predictions of one network at its best epoch: the
    first replicate that did not diverge. The study also trained and submitted single networks; the mean over
    replicates would be an ensemble, which usually scores better. If all replicates of a cell diverged, no file is
    written.
    """
    results, submission = StudyResults(manifest, Path(folder)), manifest.submission
    if submission is None:
        raise ValueError(f"{manifest.study} has no images without a label")
    id_column, value_column = submission.columns
    ids = identifiers(results.images("unlabelled"), submission.ids, id_column)
    with atomic_folder(Path(folder) / "submissions") as target:
        for cell in tqdm(results.cells, desc="submissions", unit="cell"):
            probabilities = _first_finite(results.replicates_of(cell))
            if probabilities is None:
                print(f"medgrid: submissions: all replicates of {cell} diverged; no file is written")
                continue
            table = pd.Series(probabilities[:, -1], ids, name=value_column)
            table.to_csv(target / f"{cell}.csv", float_format="%.9g")  # enough digits to avoid ties
