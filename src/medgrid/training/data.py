"""What a training reads: images, maps or features of each part of a split, on the device that trains."""

import csv
from dataclasses import dataclass

import numpy as np
import torch

from medgrid.data import PARTS, UNLABELLED


@dataclass(frozen=True)
class Part:
    """Rows [n] of one part of a split within `inputs`, and their labels [n] (class numbers).

    `inputs` is shared by all parts: [N, ...], or [1 + V, N, ...] with V augmented views behind the plain images.
    """

    inputs: torch.Tensor
    rows: torch.Tensor
    labels: torch.Tensor
    views: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: torch.Tensor, views: torch.Tensor | None = None) -> torch.Tensor:
        """Inputs at `places` within the part, on their device: the plain ones, or of the given views."""
        rows = self.rows[indices]
        if not self.views:
            return self.inputs[rows]
        return self.inputs[0 if views is None else views[indices], rows]


def read_parts(
    inputs: str, split: str, classes: list[str], views: int, device: torch.device
) -> tuple[dict[str, Part], dict[str, list[str]]]:
    """Each part of the split, and the paths of its images; `unlabelled` is a part where there are such images.

    On a CPU the file is mapped, not read, so that jobs side by side share its pages. On a GPU all of it moves there.
    """
    # copy-on-write, since torch wants memory that it may write to
    data = torch.from_numpy(np.load(inputs, mmap_mode="c"))
    if device.type != "cpu":
        data = data.to(device)
    with open(split, newline="", encoding="utf-8") as handle:  # noqa: PTH123
        images = list(csv.DictReader(handle))
    parts, paths = {}, {}
    for part in (*PARTS, UNLABELLED):
        chosen = [image for image in images if image["part"] == part]
        if not chosen and part == UNLABELLED:
            continue
        rows = torch.tensor([int(image["row"]) for image in chosen])
        labels = torch.tensor([classes.index(image["label"]) if image["label"] else -1 for image in chosen])
        parts[part] = Part(data, rows.to(device), labels.to(device), views)
        paths[part] = [image["path"] for image in chosen]
    return parts, paths
