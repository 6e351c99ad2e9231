"""Heads, and networks without a backbone, built from a list of layers (`medgrid.config.Layer`)."""

from collections.abc import Iterator

import torch
from torch import nn

from medgrid.config import Layer
from medgrid.utils.errors import MedgridError

# slope of LeakyReLU for negative inputs: torch's default
SLOPE = 0.01
ACTIVATIONS = {"relu": lambda: nn.ReLU(), "leaky_relu": lambda: nn.LeakyReLU(SLOPE)}


def build_layers(layers: list[Layer], channels: int, side: int, outputs: int) -> nn.Sequential:
    """Modules from maps [B, channels, side, side] (side 0: vectors [B, channels]) to logits [B, outputs].

    Each layer is its operation, then activation, BatchNorm and dropout if it has them. A linear output layer is
    appended. Raises MedgridError when a map of 1 x 1 pixel would be pooled.
    """
    modules: list[nn.Module] = []
    for i, layer in enumerate(layers):
        if layer.conv:
            modules.append(nn.Conv2d(channels, layer.conv, layer.kernel, padding=layer.kernel // 2))
            channels = layer.conv
        elif layer.dense:
            modules.append(nn.Linear(channels, layer.dense))
            channels = layer.dense
        elif layer.pool == "max":
            if side < 2:
                raise MedgridError(f"layers[{i}] pools a feature map of 1 x 1 pixel; use a larger image.size")
            modules.append(nn.MaxPool2d(2))
            side //= 2
        elif layer.pool and side:
            modules += [nn.AdaptiveAvgPool2d(1)] if layer.pool == "global_average" else []
            modules.append(nn.Flatten())
            channels *= 1 if layer.pool == "global_average" else side**2
            side = 0
        if layer.activation:
            modules.append(ACTIVATIONS[layer.activation]())
        if layer.batch_norm:
            modules.append(nn.BatchNorm2d(channels) if side else nn.BatchNorm1d(channels))
        if layer.dropout:
            modules.append(nn.Dropout(layer.dropout))
    return nn.Sequential(*modules, nn.Linear(channels, outputs))


def penalised(head: nn.Sequential, layers: list[Layer]) -> Iterator[tuple[torch.Tensor, float, float]]:
    """Weights of a head with a penalty, and the factors of its L1 and L2 terms (see `penalty`)."""
    weighted = (module for module in head if isinstance(module, nn.Conv2d | nn.Linear))
    described = (layer for layer in layers if layer.conv or layer.dense)
    for layer, module in zip(
        described, weighted, strict=False
    ):  # the output layer is not in `layers`: it has no penalty
        if layer.l1 or layer.l2:
            yield module.weight, layer.l1, layer.l2


def penalty(weight: torch.Tensor, l1: float, l2: float) -> torch.Tensor:
    """Penalties [M] of weights [M, ...]: l1 x sum of absolute values + l2 x sum of squares, as in Keras."""
    flat = weight.flatten(1)
    total = flat.new_zeros(len(flat))
    if l1:
        total = total + l1 * flat.abs().sum(1)
    if l2:
        total = total + l2 * flat.square().sum(1)
    return total
