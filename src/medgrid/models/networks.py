"""Networks: a backbone, a head, and which of their weights train."""

from pathlib import Path

import torch
from torch import nn

from medgrid.architectures.keras_layers import last_blocks, last_layers
from medgrid.config import Model, Training
from medgrid.models.backbones import INITIAL_SEED, SMALLEST, Backbone, normalising
from medgrid.models.layers import build_layers, penalised
from medgrid.utils.errors import MedgridError


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, H, W, C] to float32 [B, C, H, W] of 0..255, in the channels-last memory format."""
    return images.permute(0, 3, 1, 2).float()


class Network(nn.Module):
    """uint8 images [B, H, W, C] to logits [B, outputs], by `prepare`, `backbone` and `head`.

    Without a `normalisation`, the inputs are feature maps [B, F, h, w], which are not normalised.
    """

    def __init__(self, backbone: nn.Module, head: nn.Sequential, normalisation: str | None, channels: int):
        super().__init__()
        self.backbone, self.head = backbone, head
        scale, shift = normalising(normalisation, channels) if normalisation else (torch.ones(1), torch.zeros(1))
        self.prepares = normalisation is not None
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [B, H, W, C], or float [B, C, H, W] of 0..255, to normalised float [B, C, H, W]."""
        pixels = images if images.is_floating_point() else to_float(images)
        return pixels * self.scale + self.shift

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(self.prepare(images) if self.prepares else images))


def build(
    model: Model,
    outputs: int,
    normalisation: str,
    weights: Path | str,
    channels: int,
    size: int,
    seed: int,
    backbone_seed: int = INITIAL_SEED,
) -> Network:
    """A network for images of `size` x `size` pixels with 1 or 3 `channels`.

    `weights`: a file for the backbone, `random` (as torchvision initialises it) or `random_calibrated` (see
    `backbones.calibrate_batch_norm`). `seed` initialises the head, `backbone_seed` a random backbone. Raises
    MedgridError when the file does not fit or the images are too small.
    """
    smallest = SMALLEST.get(model.backbone or "", 0)
    if size < smallest:
        raise MedgridError(f"{model.backbone} needs images of at least {smallest} pixels; image.size is {size}")
    with torch.random.fork_rng(devices=[]):
        if model.backbone is None:
            backbone: nn.Module = nn.Identity()
            shape, dropout = (channels, size), 0.0
        else:
            backbone = Backbone(
                model.backbone, "map" if model.layers else "output", weights, normalisation, backbone_seed
            )
            shape, dropout = backbone.shape(size), backbone.dropout
        torch.manual_seed(seed)
        head = build_layers(model.layers, *shape, outputs)
    if dropout:
        head.insert(0, nn.Dropout(dropout))
    return Network(backbone, head, normalisation, channels).to(memory_format=torch.channels_last)


def unfrozen(model: Model, training: Training) -> list[str]:
    """Names of the modules that train within torchvision's backbone; the empty name is the whole backbone."""
    if training.frozen or model.backbone is None:
        return []
    if training.mode == "last_layers":
        return last_layers(model.backbone, training.unfrozen)
    if training.mode == "last_blocks":
        return last_blocks(model.backbone, training.unfrozen)
    return [""]


def freeze(network: Network, model: Model, training: Training) -> list[nn.Module]:
    """Turn gradients off for everything that does not train; returns the modules that do, including the head.

    All other modules stay in eval mode, so a frozen BatchNorm keeps its running statistics.
    """
    network.requires_grad_(False)
    trained: list[nn.Module] = [network.head]
    if isinstance(network.backbone, Backbone):
        trained += [network.backbone.network.get_submodule(name) for name in unfrozen(model, training)]
    for module in trained:
        module.requires_grad_(True)
    return trained


def penalties(network: Network, model: Model) -> list[tuple[torch.Tensor, float, float]]:
    """Weights with a penalty, and the factors of its L1 and L2 terms (see `layers.penalised`)."""
    return list(penalised(network.head, model.layers))
