"""Optimizers of `torch.optim`, as `medgrid.config.optimizers` describes them."""

from collections.abc import Iterable, Sequence

import torch

from medgrid.config import Training
from medgrid.config.optimizers import OPTIMIZERS


def make_optimizer(name: str, members: Iterable[tuple[Training, Sequence[torch.Tensor]]]) -> torch.optim.Optimizer:
    """One optimizer for the parameters of all `members`: a parameter group for each, with its training's settings."""
    description = OPTIMIZERS[name]
    names = ("lr", *description.takes)
    groups = [
        {"params": tensors} | {name: getattr(training, name) for name in names} for training, tensors in members
    ]
    return getattr(torch.optim, description.torch_class)(groups, **description.options)
