"""The last layers and blocks of torchvision backbones, as lists that freezing follows.

Studies that use Keras count its layers from the end of a backbone, where an activation, an addition and a pooling count
one each. `tails.yaml` holds Keras's own order (Keras 3, `include_top=False`), each layer with the torchvision module
that has its weights, or null.
"""

from functools import cache
from pathlib import Path

import yaml

from medgrid.utils.errors import MedgridError


@cache
def _lists() -> dict[str, dict[str, list]]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


def _of(backbone: str, kind: str, count: int) -> list:
    lists = _lists()[kind]
    if backbone not in lists:
        known = ", ".join(sorted(lists))
        raise MedgridError(
            f"no list of the last {kind} of {backbone} is known (known are {known}); choose another mode"
        )
    if count > len(lists[backbone]):
        raise MedgridError(
            f"the last {count} {kind} of {backbone} are asked for, but its list holds {len(lists[backbone])}"
        )
    return lists[backbone][:count]


def last_layers(backbone: str, count: int) -> list[str]:
    """Modules of torchvision's `backbone` that hold the weights of its last `count` Keras layers, last first.

    Raises MedgridError where Keras's layers are not known, or fewer than `count`.
    """
    return [module for _, module in _of(backbone, "layers", count) if module]


def last_blocks(backbone: str, count: int) -> list[str]:
    """Modules of torchvision's `backbone` that make up its last `count` convolution blocks, last first.

    Raises MedgridError where the blocks are not known, or fewer than `count`.
    """
    return [module for block in _of(backbone, "blocks", count) for module in block]
