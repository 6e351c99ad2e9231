"""A trained network as it was, put together from a job's results."""

import json
from pathlib import Path

import torch
from torch import nn

from medgrid.config import Model, Training
from medgrid.models.networks import Network, build
from medgrid.utils.errors import MedgridError


def trained_network(job: Path, cell: str, weights: Path | None, channels: int, size: int) -> Network:
    """The first kept replicate of a cell at its best epoch, in eval mode: uint8 images to logits.

    `job` is the job's folder, `weights` the file of the backbone, `channels` and `size` are the images'. Raises
    MedgridError when the job kept no weights.
    """
    description = json.loads((job / "job.json").read_text())
    kept = torch.load(job / "weights.pt", map_location="cpu", weights_only=True).get(cell)
    if not kept:
        raise MedgridError(f"{job} keeps no weights of {cell}: set keep_weights to first, and train it again")
    state = kept[min(kept)]
    (training,) = (Training.model_validate(each["training"]) for each in description["cells"] if each["id"] == cell)
    model = Model.model_validate(description["model"])
    outputs = training.outputs or len(description["classes"])
    # a backbone from nothing is among what was kept
    backbone = "random" if training.mode == "scratch" else weights or description["backbone"]["weights"]
    network = build(model, outputs, training.normalisation, backbone, channels, size, seed=0)
    if description["source"] in ("features", "pixels"):
        state = _stacked(state, network.head)
    missing = network.load_state_dict(state, strict=False)
    if missing.unexpected_keys:
        raise MedgridError(f"{job}/weights.pt does not fit {cell}: it has {missing.unexpected_keys[0]}")
    return network.eval()


def _stacked(state: dict[str, torch.Tensor], head: nn.Sequential) -> dict[str, torch.Tensor]:
    """A stack member's tensors under the names that they have in a head's modules, in the same order."""
    names = {"mean": "running_mean", "var": "running_var", "norm_weight": "weight", "norm_bias": "bias"}
    indices = sorted({int(name.split(".")[0]) for name in state})
    linear = iter([name for name, module in head.named_children() if isinstance(module, nn.Linear)])
    norm = iter([name for name, module in head.named_children() if isinstance(module, nn.BatchNorm1d)])
    result = {}
    for place in indices:
        own = {name.split(".")[1]: tensor for name, tensor in state.items() if name.startswith(f"{place}.")}
        if "weight" in own:
            module = next(linear)
            result |= {f"head.{module}.{name}": own[name] for name in ("weight", "bias")}
        if "mean" in own:
            module = next(norm)
            result |= {f"head.{module}.{names[name]}": own[name] for name in names}
    return result
