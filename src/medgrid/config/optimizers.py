"""Optimizers by the names that params.yaml uses. Adding one means adding a row here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Optimizer:
    """An optimizer of `torch.optim`.

    `torch_class` is its name there, `takes` are the fields of `Training` that it uses besides `lr` (arguments of its
    constructor with the same names), `options` are arguments that all trainings share.
    """

    torch_class: str
    takes: tuple[str, ...] = ("weight_decay",)
    options: Mapping[str, Any] = field(default_factory=dict)


FUSED = {"fused": True}  # one kernel updates all weights

OPTIMIZERS = {
    "adamw": Optimizer("AdamW", options=FUSED),
    "adam": Optimizer("Adam", options=FUSED),
    "sgd": Optimizer("SGD", ("weight_decay", "momentum"), FUSED),
    "rmsprop": Optimizer("RMSprop", ("weight_decay", "momentum")),
}
