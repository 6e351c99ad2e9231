"""What networks look at: LIME and Grad-CAM of one test image, for the models and modes of a study."""

import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from skimage.segmentation import find_boundaries
from tqdm import tqdm

from medgrid.evaluation.selection import scores
from medgrid.models import device as devices
from medgrid.models.networks import Network
from medgrid.report.attribution import class_logits, gradcam, lime, strongest, superpixels
from medgrid.report.figures import style
from medgrid.report.tables import read
from medgrid.training.rebuild import trained_network

SHOWN = 10  # superpixels, those with the largest absolute weight
COLUMNS = 4
FAINT = 1e-6  # a weight below is rounding: the network says the same whatever is left out
FOR, AGAINST = (0.0, 0.75, 0.2), (0.9, 0.1, 0.1)
TOLERANCE = 0.05  # of probabilities that a rebuilt network repeats: a GPU's bfloat16 rounds coarsely


@dataclass
class Panel:
    """One model in one mode: the cell that speaks for it, what its network says, or why there is nothing to show."""

    cell: str
    model: str
    mode: str
    why: str = ""
    guess: str = ""  # predicted class and its probability
    weights: np.ndarray | None = None  # of superpixels, see `lime`
    cam: tuple[np.ndarray, tuple[int, int]] | None = None  # see `gradcam`


def select(settings: dict, means: pd.DataFrame) -> list[Panel]:
    """For each model and mode the cell that validation picks, in the study's order.

    Cells with a diverged replicate are passed over; where none is left, the first stands, with the reason. Of more
    pairs than `networks` in the settings' explanations: the best mode of each model, and of these the best.
    """
    score = scores(means[means["checkpoint"] == "best"].set_index("cell"), settings["select"])
    cells: dict[tuple[str, str], list[str]] = {}
    for cell, training in settings["trainings"].items():
        cells.setdefault((training["model"], training["mode"]), []).append(cell)
    panels = []
    for (model, mode), members in cells.items():
        usable = score.reindex(members).dropna()
        why = "replicates diverged in every cell" if usable.empty else ""
        panels.append(Panel(members[0] if usable.empty else usable.idxmax(), model, mode, why=why))
    limit = settings["explanations"]["networks"]
    if len(panels) <= limit:
        return panels
    best_first = sorted(panels, key=lambda panel: -score.get(panel.cell, -np.inf))
    best_of: dict[str, Panel] = {}
    for panel in best_first:
        best_of.setdefault(panel.model, panel)
    chosen = list(best_of.values())[:limit]
    return [panel for panel in panels if panel in chosen]


class Predictions:
    """What the first replicate of each cell predicted, and in which job it lies."""

    def __init__(self, folder: Path, jobs: list[str]):
        self.first: dict[str, tuple[int, Path]] = {}  # of each cell: seed and job
        for job in (folder / "jobs" / name for name in jobs):
            with np.load(job / "predictions.npz") as file:
                seed = int(file["seeds"].min())
                for cell in file["cells"].tolist():
                    self.first[cell] = min(self.first.get(cell, (seed, job)), (seed, job))

    def test(self, cell: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Paths and labels [n] of the test images, and their probabilities [n, classes] at the best epoch."""
        seed, job = self.first[cell]
        with np.load(job / "predictions.npz") as file:
            place = file["cells"].tolist().index(cell), file["seeds"].tolist().index(seed)
            return file["test_images"], file["test_labels"], file["test_probabilities"][(*place, 0)]

    def kept(self, cell: str) -> bool:
        """Whether the weights of the first replicate were kept."""
        states = torch.load(self.first[cell][1] / "weights.pt", map_location="cpu", weights_only=True, mmap=True)
        return bool(states.get(cell))


def typical(predictions: Predictions, panels: list[Panel]) -> int:
    """Which of the test images to explain: the first of those that most of the networks get right."""
    tests = [predictions.test(panel.cell) for panel in panels]
    return int(np.argmax(sum(probabilities.argmax(1) == labels for _, labels, probabilities in tests)))


def explain(
    panel: Panel,
    network: Network,
    image: torch.Tensor,
    segments: np.ndarray,
    classes: list[str],
    expected: np.ndarray,
    perturbations: int,
) -> None:
    """Fill in a panel, unless the network's probabilities are not the `expected` ones [classes]."""
    with torch.no_grad():
        probabilities = class_logits(network)(image[None]).softmax(1)[0]
    if not np.allclose(probabilities.numpy(), expected, rtol=0, atol=TOLERANCE):
        panel.why = "put together from the weights that were kept, it predicts something else"
        return
    target = int(probabilities.argmax())
    panel.guess = f"{classes[target]} ({100 * probabilities[target]:.0f} %)"
    panel.weights = lime(network, image, segments, target, perturbations)
    panel.cam = gradcam(network, image, target)


def _show_lime(panel: Panel, axes: plt.Axes, segments: np.ndarray) -> str:
    if not np.abs(panel.weights).max() > FAINT:
        return "no superpixel changes it"
    layer = np.zeros((*segments.shape, 4))
    for number in strongest(panel.weights, SHOWN):
        inside = segments == number
        layer[inside] = (*(FOR if panel.weights[number] > 0 else AGAINST), 0.35)
        layer[inside & find_boundaries(inside, mode="inner"), 3] = 0.9
    axes.imshow(layer)
    return ""


def _show_cam(panel: Panel, axes: plt.Axes) -> str:
    if panel.cam is None:
        return "no feature map"
    values, sides = panel.cam
    if not values.max() > 0:
        return "nothing in the map speaks for it"
    axes.imshow(values / values.max(), cmap="turbo", vmin=0, vmax=1, alpha=0.45)  # the field's blue to red
    return f"map of {sides[0]} x {sides[1]}"


def _draw(panels: list[Panel], image: np.ndarray, truth: str, title: str, show: Callable[[Panel, plt.Axes], str]):
    """The image, then a panel for each network: `show` draws on the image and returns a remark."""
    columns = min(COLUMNS, len(panels) + 1)
    rows = -(-(len(panels) + 1) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.6 * columns, 3.2 * rows + 0.4), squeeze=False, layout="constrained"
    )
    for axes in grid.flat:
        axes.set_axis_off()
    shown = np.broadcast_to(image, (*image.shape[:2], 3))
    grid.flat[0].imshow(shown)
    grid.flat[0].set_title(f"test image\ntrue: {truth}", fontsize=8)
    for axes, panel in zip(grid.flat[1:], panels, strict=False):
        axes.imshow(shown, alpha=0.15 if panel.why else 1.0)
        lines = [f"{panel.model}, {panel.mode.replace('_', ' ')}"]
        if panel.why:
            axes.text(0.5, 0.5, textwrap.fill(panel.why, 28), transform=axes.transAxes, fontsize=8, ha="center")
        else:
            remark = show(panel, axes)
            lines += [f"predicted: {panel.guess}", f"true: {truth}{f'; {remark}' if remark else ''}"]
        axes.set_title("\n".join(lines), fontsize=8)
    figure.suptitle(textwrap.fill(title, int(26 * columns)), fontsize=10)
    figure.get_layout_engine().set(h_pad=0.1)
    return figure


def write_explanations(settings: dict, folder: str, split: str, tensors: str, weights: str, threads: int = 0) -> None:
    """Write lime.png and gradcam.png into `folder`/explanations, which appears whole or not at all.

    `settings`: trainings (by cell), classes, select, jobs, weights (names of files in the folder `weights`,
    by model), data, license, protocol, show_images, explanations (networks, perturbations). Where the licence does
    not allow showing images, a README.txt says so instead.
    """
    target, temporary = Path(folder) / "explanations", Path(folder) / ".explanations"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    if settings["show_images"]:
        devices.choose("cpu", threads)
        _write_figures(settings, Path(folder), Path(split), Path(tensors), Path(weights), temporary)
    else:
        text = f"No image is shown here: the licence ({settings['license']}) is not known to allow it.\n"
        (temporary / "README.txt").write_text(text, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


def _write_figures(settings: dict, folder: Path, split: Path, tensors: Path, weights: Path, target: Path) -> None:
    means, classes = read(folder / "cells.csv"), settings["classes"]
    panels, predictions = select(settings, means), Predictions(folder, settings["jobs"])
    chosen = typical(predictions, panels)
    paths, labels, _ = predictions.test(panels[0].cell)
    path, truth = str(paths[chosen]), classes[labels[chosen]]
    images = read(split)
    row = int(images.loc[images["path"] == path, "row"].iloc[0])
    image = torch.from_numpy(np.array(np.load(tensors, mmap_mode="r")[row]))
    segments = superpixels(image.numpy())
    for panel in tqdm(panels, desc="explanations", unit="network"):
        if not panel.why and not predictions.kept(panel.cell):
            panel.why = "its weights were not kept"
        if not panel.why:
            name = settings["weights"][panel.model]
            file = None if name in ("random", "random_calibrated") else weights / name
            job = predictions.first[panel.cell][1]
            network = trained_network(job, panel.cell, file, image.shape[2], image.shape[0])
            expected = predictions.test(panel.cell)[2][chosen]
            explain(panel, network, image, segments, classes, expected, settings["explanations"]["perturbations"])

    note = (
        f"{settings['data']} · {path} · weights: {'; '.join(dict.fromkeys(means['weights']))} · "
        f"{settings['protocol']} split · each time the first replicate of the cell that validation picks"
    )
    drawings = {
        "lime": (
            f"LIME: the {SHOWN} superpixels with the greatest weight, green for and red against the predicted class",
            lambda panel, axes: _show_lime(panel, axes, segments),
        ),
        "gradcam": (
            "Grad-CAM: where the last feature map speaks for the predicted class, from blue (not) to red",
            _show_cam,
        ),
    }
    for name, (title, show) in drawings.items():
        style.save(_draw(panels, image.numpy(), truth, title, show), target / f"{name}.png", note)
