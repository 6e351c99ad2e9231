"""The last layers and blocks of torchvision bases, as lists that freezing follows.

Studies that use Keras count its layers from the end of a base, where an activation, an addition and a pooling count
one each. `tails.yaml` holds Keras's own order (Keras 3, `include_top=False`), each layer with the torchvision module
that has its weights, or null.
"""

from functools import cache
from pathlib import Path

import yaml

from medgrid.errors import MedgridError


@cache
def _lists() -> dict[str, dict[str, list]]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


def _of(base: str, kind: str, count: int) -> list:
    lists = _lists()[kind]
    if base not in lists:
        known = ", ".join(sorted(lists))
        raise MedgridError(f"no list of the last {kind} of {base} is known (known are {known}); choose another mode")
    if count > len(lists[base]):
        raise MedgridError(f"the last {count} {kind} of {base} are asked for, but its list holds {len(lists[base])}")
    return lists[base][:count]


def last_layers(base: str, count: int) -> list[str]:
    """Modules of torchvision's `base` that hold the weights of its last `count` Keras layers, last first.

    Raises MedgridError where Keras's layers are not known, or fewer than `count`.
    """
    return [module for _, module in _of(base, "layers", count) if module]


def last_blocks(base: str, count: int) -> list[str]:
    """Modules of torchvision's `base` that make up its last `count` convolution blocks, last first.

    Raises MedgridError where the blocks are not known, or fewer than `count`.
    """
    return [module for block in _of(base, "blocks", count) for module in block]
