"""Files to hand in where a competition keeps its test labels to itself."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from medgrid.utils.errors import MedgridError


def identifiers(images: np.ndarray, pattern: str, name: str = "id") -> pd.Index:
    """The id of each image: what the group `id` of `pattern` finds. Raises MedgridError where two share one."""
    ids = pd.Index([re.search(pattern, path)["id"] for path in images.tolist()], name=name)
    if ids.has_duplicates:
        raise MedgridError(f"submissions: two unlabelled images have the id {ids[ids.duplicated()][0]}")
    return ids


def write_submissions(settings: dict, folder: str) -> None:
    """Write `folder`/submissions/<cell>.csv for every cell, from its jobs below `folder`.

    Columns: id and probability of the last class, of every image without a label, named as in the data set's table of
    labels (else id and label).
    Each file holds the predictions of one network, at its best epoch by validation: of the first replicate, as the
    study would have handed in the one network that it trained. A mean over replicates would be another method, an
    ensemble, which usually scores better than what is being re-run. Where the first diverged, the next takes its
    place; a cell of which every replicate diverged has no file.
    """
    place = Path(folder)
    target, temporary = place / "submissions", place / ".submissions"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    columns = settings["submission"]["columns"]
    written: dict[str, int] = {}  # cell: seed
    for job in tqdm(settings["jobs"], desc="submissions", unit="job"):
        predictions = np.load(place / "jobs" / job / "predictions.npz")
        ids = identifiers(predictions["unlabelled_images"], settings["submission"]["ids"], columns[0])
        scores = predictions["unlabelled_probabilities"][..., -1]
        seeds = predictions["seeds"].tolist()
        for i, cell in enumerate(predictions["cells"].tolist()):
            usable = [j for j in np.argsort(seeds) if np.isfinite(scores[i, j]).all()]
            # a cell's replicates may lie in several jobs
            if usable and seeds[usable[0]] < written.get(cell, np.inf):
                table = pd.Series(scores[i, usable[0]], ids, name=columns[1])
                table.to_csv(temporary / f"{cell}.csv", float_format="%.9g")  # no ties by rounding
                written[cell] = seeds[usable[0]]
    for cell in settings["trainings"]:
        if cell not in written:
            print(f"medgrid: submissions: every replicate of {cell} diverged; nothing to hand in")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
