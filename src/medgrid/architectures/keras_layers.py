"""The last layers and blocks of torchvision backbones, as Keras counts them.

Studies that unfreeze "the last n layers" in Keras count from the end of a backbone, and each activation, addition and
pooling is a layer. `keras_layers.yaml` has Keras's order (Keras 3, `include_top=False`): each layer with the
torchvision module that holds its weights, or null for a layer without weights.
"""

from functools import cache
from pathlib import Path

import yaml

from medgrid.utils.errors import MedgridError


@cache
def _lists() -> dict[str, dict[str, list]]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


def _last(backbone: str, kind: str, count: int) -> list:
    """The last `count` layers or blocks (`kind`) of a backbone."""
    lists = _lists()[kind]
    if backbone not in lists:
        listed = ", ".join(sorted(lists))
        raise MedgridError(
            f"there is no list of the last {kind} of {backbone}, only of {listed}; choose another mode"
        )
    if count > len(lists[backbone]):
        raise MedgridError(f"unfrozen: {count} is too large; {backbone} has {len(lists[backbone])} listed {kind}")
    return lists[backbone][:count]


def last_layers(backbone: str, count: int) -> list[str]:
    """Modules of torchvision's `backbone` that hold the weights of its last `count` Keras layers, last first.

    Raises MedgridError when the layers of the backbone are not listed, or fewer than `count`.
    """
    return [module for _, module in _last(backbone, "layers", count) if module]


def last_blocks(backbone: str, count: int) -> list[str]:
    """Modules of torchvision's `backbone` that are its last `count` convolution blocks, last first.

    Raises MedgridError when the blocks of the backbone are not listed, or fewer than `count`.
    """
    return [module for block in _last(backbone, "blocks", count) for module in block]
