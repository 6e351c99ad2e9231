"""Explanations of one test image by the networks of a study, rebuilt from their saved weights."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from medgrid.evaluation.results import StudyResults, read_table
from medgrid.models.networks import Network
from medgrid.report.explanations.attribution import class_logits, gradcam, lime, superpixels
from medgrid.report.explanations.select import Panel, first_probabilities, typical_image
from medgrid.training.rebuild import trained_network

TOLERANCE = 0.05  # of the probabilities of a rebuilt network: bfloat16 on a GPU rounds coarsely


@dataclass(frozen=True)
class Example:
    """The test image that is explained. `index`: its place among the test images."""

    index: int
    path: str
    label: str
    pixels: torch.Tensor  # uint8 [H, W, C]
    segments: np.ndarray  # number of each pixel's superpixel [H, W]


def load_example(results: StudyResults, panels: list[Panel], split: Path, tensors: Path) -> Example:
    """The test image that most of the panels' networks classify correctly."""
    index = typical_image(results, [panel.cell for panel in panels])
    path = results.images("test")[index]
    label = results.manifest.classes[results.labels("test")[index]]
    images = read_table(split)
    row = int(images.loc[images["path"] == path, "row"].iloc[0])
    pixels = torch.from_numpy(np.array(np.load(tensors, mmap_mode="r")[row]))
    return Example(index, path, label, pixels, superpixels(pixels.numpy()))


def has_saved_weights(block: Path, cell: str) -> bool:
    """Whether a training job saved the weights of any replicate of a cell."""
    states = torch.load(block / "weights.pt", map_location="cpu", weights_only=True, mmap=True)
    return bool(states.get(cell))


def explain(
    panel: Panel, network: Network, example: Example, classes: list[str], expected: np.ndarray, perturbations: int
) -> Panel:
    """A panel with its explanation, or with a reason where the network does not predict `expected` [classes]."""
    with torch.no_grad():
        probabilities = class_logits(network)(example.pixels[None]).softmax(1)[0]
    if not np.allclose(probabilities.numpy(), expected, rtol=0, atol=TOLERANCE):
        return replace(panel, reason="the network rebuilt from its saved weights predicts differently")
    target = int(probabilities.argmax())
    return replace(
        panel,
        prediction=f"{classes[target]} ({100 * probabilities[target]:.0f} %)",
        weights=lime(network, example.pixels, example.segments, target, perturbations),
        cam=gradcam(network, example.pixels, target),
    )


def explain_panels(results: StudyResults, panels: list[Panel], example: Example, weights: Path) -> list[Panel]:
    """The panels with explanations by the first replicate of each cell; `weights`: folder of pretrained backbones."""
    return [_explain_cell(results, panel, example, weights) for panel in tqdm(panels, "explanations", unit="network")]


def _explain_cell(results: StudyResults, panel: Panel, example: Example, weights: Path) -> Panel:
    manifest = results.manifest
    if panel.reason:
        return panel
    block = results.replicates[panel.cell, results.seeds[0]].block
    if not has_saved_weights(block, panel.cell):
        return replace(panel, reason="its weights were not saved")
    name = manifest.weights[panel.model]
    file = None if name in ("random", "random_calibrated") else weights / name
    network = trained_network(block, panel.cell, file, example.pixels.shape[2], example.pixels.shape[0])
    expected = first_probabilities(results, panel.cell)[example.index]
    return explain(panel, network, example, manifest.classes, expected, manifest.explanations.perturbations)
