"""How large each network of a study is, what of it trains, and what it looks like."""

import csv
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch
import torchinfo
from torch.overrides import TorchFunctionMode
from torchinfo.layer_info import LayerInfo
from tqdm import tqdm

from medgrid.config import Model, Training
from medgrid.models.networks import Network, build, freeze, unfrozen
from medgrid.utils.files import atomic_write

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
KEY = ("model", "mode", "unfrozen", "outputs")
COLUMNS = (*KEY, "parameters", "trainable", "frozen", *KINDS, "trains")
DEPTHS = (6, 5, 4, 3, 2, 1)  # levels of modules in a diagram: the deepest that fits
LINES = 200  # of a diagram, at most


class _Calls(TorchFunctionMode):
    """Counts the functions that a network calls, whether a module or a plain function does it."""

    def __init__(self):
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        self.counts[function.__name__.strip("_")] += 1  # add_ is add in place
        return function(*arguments, **keywords or {})


def layer_counts(network: Network, images: torch.Tensor) -> dict[str, int]:
    """How many layers of each kind one forward pass of uint8 images [B, H, W, C] calls, after normalisation.

    What runs is counted, since torchvision has no module for many a layer that Keras counts: an addition, a
    concatenation, the ReLU of an Inception.
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
    """What of a network's backbone trains: all, none, or torchvision's names of the modules, last first."""
    names = [""] if model.backbone is None else unfrozen(model, training)
    return "all" if names == [""] else ", ".join(names) or "none"


def _leaves(layer: LayerInfo) -> list[LayerInfo]:
    return [leaf for child in layer.children for leaf in (_leaves(child) if child.children else [child])]


def _fill(layer: LayerInfo) -> None:
    """Give a container its shapes: a traced backbone calls its leaves only. Where they are no chain it stays blank."""
    leaves = _leaves(layer)
    if not layer.executed and all(before.output_size == after.input_size for before, after in pairwise(leaves)):
        layer.input_size, layer.output_size = leaves[0].input_size, leaves[-1].output_size


def diagram(network: Network, images: torch.Tensor) -> str:
    """Modules with input shape, output shape and parameters, as deep as fits; images as in `layer_counts`."""
    drawn = torchinfo.summary(
        network, input_data=images, depth=DEPTHS[0], device=images.device, verbose=0, mode="eval",
        col_names=("input_size", "output_size", "num_params"), row_settings=("var_names",),
    )  # fmt: skip
    for layer in drawn.summary_list:
        if layer.children:
            _fill(layer)
    for depth in DEPTHS:
        drawn.formatting.max_depth = depth
        lines = [line.rstrip() for line in str(drawn).splitlines()]
        if len(lines) < LINES:
            break
    return "\n".join(lines) + "\n"


def write_summary(settings: dict, target: str) -> None:
    """Write the CSV `target`, and beside it a folder of the same name with a diagram of each model.

    `settings`: models, trainings (by cell), classes, image. One row for each model, mode, number of unfrozen layers
    and number of outputs that the trainings have:

    - parameters, trainable, frozen: weights with the head's, without buffers such as BatchNorm's statistics
    - conv, dense, activation, normalisation, other: layers of a forward pass (see `layer_counts`)
    - trains: see `trains`

    Sizes do not depend on weights, so none are read.
    """
    distinct: dict[tuple, Training] = {}
    for each in settings["trainings"].values():
        training = Training.model_validate(each)
        outputs = training.outputs or len(settings["classes"])
        distinct.setdefault((training.model, training.mode, training.unfrozen, outputs), training)
    size, channels = settings["image"]["size"], 1 if settings["image"]["colour"] == "grey" else 3
    images = torch.zeros(1, size, size, channels, dtype=torch.uint8, device="meta")

    rows, diagrams, networks = [], {}, {}
    for key, training in tqdm(distinct.items(), desc="models", unit="model"):
        name, _, _, outputs = key
        model = Model.model_validate(settings["models"][name])
        if (name, outputs) not in networks:
            with torch.device("meta"):  # shapes without values: neither memory nor arithmetic
                network = build(model, outputs, training.normalisation, "random", channels, size, 0)
            networks[name, outputs] = network, layer_counts(network, images)
            diagrams.setdefault(name, diagram(network, images))
        network, layers = networks[name, outputs]
        freeze(network, model, training)
        parameters = sum(weight.numel() for weight in network.parameters())
        trainable = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
        sizes = {"parameters": parameters, "trainable": trainable, "frozen": parameters - trainable}
        rows.append(dict(zip(KEY, key, strict=True)) | sizes | layers | {"trains": trains(model, training)})

    folder, temporary = Path(target).with_suffix(""), Path(target).with_name(f".{Path(target).stem}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, text in diagrams.items():
        (temporary / f"{name}.txt").write_text(text, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    with atomic_write(target) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
