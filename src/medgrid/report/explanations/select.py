"""Which cells and which test image are explained."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medgrid.config import Training
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.selection import best_cell


@dataclass(frozen=True)
class Panel:
    """A model in one mode: the cell that represents it, and its explanation or the reason why there is none."""

    cell: str
    model: str
    mode: str
    reason: str = ""
    prediction: str = ""  # class and its probability
    weights: np.ndarray | None = None  # of superpixels, see `attribution.lime`
    cam: tuple[np.ndarray, tuple[int, int]] | None = None  # see `attribution.gradcam`


def select_cells(trainings: dict[str, Training], scores: pd.Series, limit: int) -> list[Panel]:
    """For each model and mode the cell with the highest validation score, in the order of the study.

    `scores`: validation scores by cell; cells with a diverged replicate have none. A model and mode without a score
    are represented by their first cell, with the reason. Of more than `limit` pairs: the best mode of each model, and
    of these the best models.
    """
    cells: dict[tuple[str, str], list[str]] = {}
    for cell, training in trainings.items():
        cells.setdefault((training.model, training.mode), []).append(cell)
    panels = []
    for (model, mode), members in cells.items():
        best = best_cell(scores.reindex(members).dropna())
        reason = "" if best else "replicates diverged in every cell"
        panels.append(Panel(best or members[0], model, mode, reason))
    if len(panels) <= limit:
        return panels
    best_modes: dict[str, Panel] = {}
    for panel in sorted(panels, key=lambda panel: -scores.get(panel.cell, -np.inf)):
        best_modes.setdefault(panel.model, panel)
    kept = list(best_modes.values())[:limit]
    return [panel for panel in panels if panel in kept]


def typical_image(results: StudyResults, cells: list[str]) -> int:
    """Index of the test image to explain: the first that most of the cells' first replicates classify correctly."""
    labels = results.labels("test")
    right = [first_probabilities(results, cell).argmax(1) == labels for cell in cells]
    return int(np.argmax(np.sum(right, axis=0)))


def first_probabilities(results: StudyResults, cell: str) -> np.ndarray:
    """Probabilities [images, classes] of the test images by the first replicate of a cell, at its best epoch."""
    return results.replicates[cell, results.seeds[0]].probabilities("test")
