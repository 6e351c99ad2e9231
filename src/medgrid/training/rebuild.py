"""A trained network, rebuilt from the results of a training job."""

import json
from pathlib import Path

import torch
from torch import nn

from medgrid.config import Model, Training
from medgrid.models.networks import Network, build
from medgrid.utils.errors import MedgridError

# parameters and statistics of a stack's BatchNorm, and their names in `nn.BatchNorm1d`
BATCH_NORM = {"mean": "running_mean", "var": "running_var", "norm_weight": "weight", "norm_bias": "bias"}


def trained_network(block: Path, cell: str, weights: Path | None, channels: int, size: int) -> Network:
    """A cell's network at the best epoch of its first kept seed, in eval mode: uint8 images to logits.

    `block` is the folder of a job's block of seeds (such as `jobs/NAME/seeds-0-4`), `weights` the file of the
    backbone; `channels` and `size` are those of the images. Raises MedgridError when the block has no weights of the
    cell, or they do not fit.
    """
    description = json.loads((block / "job.json").read_text(encoding="utf-8"))
    by_seed = torch.load(block / "weights.pt", map_location="cpu", weights_only=True).get(cell)
    if not by_seed:
        raise MedgridError(f"{block} has no weights of {cell}; set keep_weights: first and train it again")
    state = by_seed[min(by_seed)]
    (settings,) = (each["training"] for each in description["cells"] if each["id"] == cell)
    training = Training.model_validate(settings)
    model = Model.model_validate(description["model"])
    outputs = training.outputs or len(description["classes"])
    # the state of a network trained from scratch includes its backbone
    backbone = "random" if training.mode == "scratch" else weights or description["backbone"]["weights"]
    network = build(model, outputs, training.normalisation, backbone, channels, size, seed=0)
    if description["source"] in ("features", "pixels"):
        state = _head_state(state, network.head)
    result = network.load_state_dict(state, strict=False)
    if result.unexpected_keys:
        raise MedgridError(f"{block}/weights.pt does not fit {cell}: {result.unexpected_keys[0]} is unexpected")
    return network.eval()


def _head_state(state: dict[str, torch.Tensor], head: nn.Sequential) -> dict[str, torch.Tensor]:
    """The tensors of a stack's member, renamed to the state dict of a network with the modules `head`."""
    layers = sorted({int(name.split(".")[0]) for name in state})
    linear = iter([name for name, module in head.named_children() if isinstance(module, nn.Linear)])
    norm = iter([name for name, module in head.named_children() if isinstance(module, nn.BatchNorm1d)])
    renamed = {}
    for layer in layers:
        tensors = {name.split(".")[1]: tensor for name, tensor in state.items() if name.startswith(f"{layer}.")}
        if "weight" in tensors:
            module = next(linear)
            renamed |= {f"head.{module}.{name}": tensors[name] for name in ("weight", "bias")}
        if "mean" in tensors:
            module = next(norm)
            renamed |= {f"head.{module}.{name}": tensors[ours] for ours, name in BATCH_NORM.items()}
    return renamed
