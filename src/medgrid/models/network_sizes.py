"""Sizes of a study's networks: parameters, how many of them train, layers; and a diagram of each network."""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torchinfo
from torch.overrides import TorchFunctionMode
from torchinfo.layer_info import LayerInfo
from tqdm import tqdm

from medgrid.config import Model, Training
from medgrid.grid.manifest import StudyManifest
from medgrid.models.networks import Network, build, freeze, unfrozen
from medgrid.utils.files import atomic_folder

KINDS = {
    "conv": {"conv2d"},
    "dense": {"linear"},
    "activation": {
        "relu", "relu6", "hardtanh", "leaky_relu", "elu", "silu", "gelu", "sigmoid", "hardswish",
        "hardsigmoid",
    },
    "normalisation": {"batch_norm", "layer_norm", "group_norm"},
    "other": {
        "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "mean", "cat", "add", "mul", "flatten", "dropout",
        "multi_head_attention_forward",
    },
}  # fmt: skip
KIND = {function: kind for kind, functions in KINDS.items() for function in functions}
KEY = ("model", "mode", "unfrozen", "outputs")  # one row of the table for each combination
COLUMNS = (*KEY, "parameters", "trainable", "frozen", *KINDS, "trains")
DEPTHS = (6, 5, 4, 3, 2, 1)  # levels of modules in a diagram: the first with few enough lines
MAX_LINES = 200  # of a diagram


class _Calls(TorchFunctionMode):
    """Counts the functions that a network calls, from modules or directly."""

    def __init__(self):
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.counts[func.__name__.strip("_")] += 1  # add_ is the in-place add
        return func(*args, **kwargs or {})


def layer_counts(network: Network, images: torch.Tensor) -> dict[str, int]:
    """Number of layers of each kind in a forward pass of uint8 images [B, H, W, C], after normalisation.

    Function calls are counted, not modules: torchvision has no modules for some layers that Keras counts, such as
    additions, concatenations and the ReLUs of Inceptions.
    """
    prepared = network.prepare(images)
    with torch.no_grad(), _Calls() as calls:
        network.eval().head(network.backbone(prepared))
    counts = dict.fromkeys(KINDS, 0)
    for function, count in calls.counts.items():
        if function in KIND:
            counts[KIND[function]] += count
    return counts


def trains(model: Model, training: Training) -> str:
    """The part of a network's backbone that trains: all, none, or names of torchvision's modules, last first."""
    names = [""] if model.backbone is None else unfrozen(model, training)
    return "all" if names == [""] else ", ".join(names) or "none"


def _leaves(layer: LayerInfo) -> list[LayerInfo]:
    return [leaf for child in layer.children for leaf in (_leaves(child) if child.children else [child])]


def _fill(layer: LayerInfo) -> None:
    """Set the shapes of a container of a traced backbone, in which only leaves are called.

    They stay blank when the leaves are not a chain.
    """
    leaves = _leaves(layer)
    if not layer.executed and all(before.output_size == after.input_size for before, after in pairwise(leaves)):
        layer.input_size, layer.output_size = leaves[0].input_size, leaves[-1].output_size


def diagram(network: Network, images: torch.Tensor) -> str:
    """Modules with input shape, output shape and parameters, to a depth of at most MAX_LINES lines.

    `images` are as in `layer_counts`.
    """
    summary = torchinfo.summary(
        network, input_data=images, depth=DEPTHS[0], device=images.device, verbose=0, mode="eval",
        col_names=("input_size", "output_size", "num_params"), row_settings=("var_names",),
    )  # fmt: skip
    for layer in summary.summary_list:
        if layer.children:
            _fill(layer)
    for depth in DEPTHS:
        summary.formatting.max_depth = depth
        lines = [line.rstrip() for line in str(summary).splitlines()]
        if len(lines) < MAX_LINES:
            break
    return "\n".join(lines) + "\n"


def write_networks(manifest: StudyManifest, target: str) -> None:
    """Write the folder `target`: `networks.csv`, and a diagram `<model>.txt` of each model.

    The table has one row for each combination of model, mode, number of unfrozen layers and number of outputs:

    - parameters, trainable, frozen: weights including the head's, without buffers such as BatchNorm's statistics
    - conv, dense, activation, normalisation, other: layers of a forward pass (see `layer_counts`)
    - trains: see `trains`

    No weight files are read: sizes do not depend on them.
    """
    distinct: dict[tuple, Training] = {}
    for training in manifest.trainings.values():
        outputs = training.outputs or len(manifest.classes)
        distinct.setdefault((training.model, training.mode, training.unfrozen, outputs), training)
    size, channels = manifest.image.size, 1 if manifest.image.colour == "grey" else 3
    images = torch.zeros(1, size, size, channels, dtype=torch.uint8, device="meta")

    rows, diagrams, networks = [], {}, {}
    for key, training in tqdm(distinct.items(), desc="networks", unit="network"):
        (name, *_, outputs), model = key, manifest.models[training.model]
        if (name, outputs) not in networks:
            with torch.device("meta"):  # shapes without values: no memory, no arithmetic
                network = build(model, outputs, training.normalisation, "random", channels, size, 0)
            networks[name, outputs] = network, layer_counts(network, images)
            diagrams.setdefault(name, diagram(network, images))
        network, layers = networks[name, outputs]
        freeze(network, model, training)
        rows.append(dict(zip(KEY, key, strict=True)) | _sizes(network) | layers | {"trains": trains(model, training)})

    with atomic_folder(target) as folder:
        for name, text in diagrams.items():
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        with (folder / "networks.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _sizes(network: Network) -> dict[str, int]:
    parameters = sum(weight.numel() for weight in network.parameters())
    trainable = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    return {"parameters": parameters, "trainable": trainable, "frozen": parameters - trainable}
