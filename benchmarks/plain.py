"""One cell of a study in plain PyTorch: the baseline for speed and accuracy.

ImageFolder and DataLoader, a torchvision network with frozen layers and a new output layer; the whole network runs on
every image in every epoch. It shares nothing with medgrid but the split.
"""

import csv
import time
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Images(ImageFolder):
    """Images of the folders Training/<class> and Testing/<class> as one data set."""

    def __init__(self, folder: Path, size: int):
        transform = v2.Compose(
            [
                v2.Resize((size, size), antialias=True),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(*IMAGENET),
            ]
        )
        super().__init__(folder / "Training", transform)
        self.samples += ImageFolder(folder / "Testing").samples
        self.position = {str(Path(path).relative_to(folder)): i for i, (path, _) in enumerate(self.samples)}

    def parts(self, split: Path) -> dict[str, Subset]:
        """Train, validation and test images of a split's CSV file."""
        with split.open() as handle:
            rows = list(csv.DictReader(handle))
        return {
            part: Subset(self, [self.position[row["path"]] for row in rows if row["part"] == part])
            for part in ("train", "validation", "test")
        }


def network(model: str, weights: Path, classes: int) -> tuple[nn.Module, nn.Linear]:
    """A torchvision network with all layers frozen, and its new output layer."""
    net = torchvision.models.get_model(model)
    result = net.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    assert all(name.startswith(("fc.", "classifier.")) for name in result.missing_keys), result.missing_keys
    assert not result.unexpected_keys, result.unexpected_keys
    net.requires_grad_(False)
    if hasattr(net, "fc"):
        head = net.fc = nn.Linear(net.fc.in_features, classes)
    else:
        head = net.classifier[-1] = nn.Linear(net.classifier[-1].in_features, classes)
    return net, head


def training_mode(net: nn.Module) -> None:
    """Train mode for the head (dropout), eval mode for the frozen layers (BatchNorm)."""
    net.eval()
    for name in ("fc", "classifier"):
        if hasattr(net, name):
            getattr(net, name).train()


@torch.no_grad()
def measure(net: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy."""
    net.eval()
    loss, correct, count = 0.0, 0, 0
    for images, labels in loader:
        logits = net(images)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(1) == labels).sum().item()
        count += len(labels)
    return loss / count, correct / count


def train(
    net: nn.Module, head: nn.Linear, parts: dict[str, Subset], lr: float, batch: int, epochs: int, workers: int
) -> dict:
    """Train the head; returns the seconds of each epoch and the test accuracy at the best epoch."""
    loaders = {
        part: DataLoader(images, batch, shuffle=part == "train", num_workers=workers, persistent_workers=workers > 0)
        for part, images in parts.items()
    }
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr)
    best, best_state, seconds = float("inf"), None, []
    for epoch in range(epochs):
        start = time.perf_counter()
        training_mode(net)
        for images, labels in loaders["train"]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        loss, accuracy = measure(net, loaders["validation"])
        seconds.append(time.perf_counter() - start)
        print(
            f"plain: epoch {epoch + 1}: validation loss {loss:.4f}, accuracy {accuracy:.4f}, {seconds[-1]:.1f} s",
            flush=True,
        )
        if loss < best:
            best, best_state = loss, {name: value.clone() for name, value in head.state_dict().items()}
    head.load_state_dict(best_state)
    _, accuracy = measure(net, loaders["test"])
    return {"seconds": seconds, "best": accuracy}
