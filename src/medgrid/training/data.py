"""The inputs of a training: images, feature maps or features of each part of a split, on the device that trains."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medgrid.data import PARTS, UNLABELLED


@dataclass(frozen=True)
class Part:
    """One part of a split: rows [n] of `inputs`, and labels [n] (class numbers; -1: unlabelled).

    All parts share `inputs`: [N, ...], or [1 + V, N, ...] with V augmented views after the original images.
    """

    inputs: torch.Tensor
    rows: torch.Tensor
    labels: torch.Tensor
    views: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """Shape of one input."""
        return self.inputs.shape[2 if self.views else 1 :]

    def batch(self, indices: torch.Tensor, views: torch.Tensor | None = None) -> torch.Tensor:
        """Inputs at `indices` within the part, on their device.

        `views` [n] has the number of a view for each image of the part; without it, inputs are the original images.
        """
        rows = self.rows[indices]
        if not self.views:
            return self.inputs[rows]
        return self.inputs[0 if views is None else views[indices], rows]


def read_parts(
    inputs: str, split: str, classes: list[str], views: int, device: torch.device
) -> tuple[dict[str, Part], dict[str, list[str]]]:
    """The parts of a split, and the paths of their images. `unlabelled` is a part if there are such images.

    On a CPU the file is mapped into memory, so that jobs on the same machine share its pages. On a GPU it is loaded
    into the GPU's memory.
    """
    # copy-on-write, since torch requires writable memory
    data = torch.from_numpy(np.load(inputs, mmap_mode="c"))
    if device.type != "cpu":
        data = data.to(device)
    with Path(split).open(newline="", encoding="utf-8") as file:
        images = list(csv.DictReader(file))
    parts, paths = {}, {}
    for part in (*PARTS, UNLABELLED):
        members = [image for image in images if image["part"] == part]
        if not members and part == UNLABELLED:
            continue
        rows = torch.tensor([int(image["row"]) for image in members])
        labels = torch.tensor([classes.index(image["label"]) if image["label"] else -1 for image in members])
        parts[part] = Part(data, rows.to(device), labels.to(device), views)
        paths[part] = [image["path"] for image in members]
    return parts, paths
