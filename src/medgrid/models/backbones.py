"""A torchvision classifier as a frozen backbone: everything before its last linear layer."""

from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.fx.experimental.optimization import fuse

from medgrid.errors import MedgridError

# torchvision's own preprocessing for its ImageNet weights
NORMALISATION = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
PASSING = 3.0  # of random layers: norm of the pass-through, in norms of the random part
INITIAL_SEED = 0  # of random weights: a backbone is part of the data, not of a replicate


def output_layer(model: nn.Module) -> tuple[str, nn.Linear, float]:
    """Name of the last linear layer, the layer itself, and the rate of a dropout just before it (else 0)."""
    modules = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    last = max((i for i, (_, module) in enumerate(modules) if isinstance(module, nn.Linear)), default=None)
    if last is None:
        raise MedgridError(
            f"{type(model).__name__} ends in no linear layer that could be replaced; choose another model"
        )
    before = modules[last - 1][1]
    return *modules[last], before.p if isinstance(before, nn.Dropout) else 0.0


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, raising MedgridError for anything else (a pickled model, a damaged file)."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = type(error).__name__
        raise MedgridError(f"{path} is not a state dict that can be read safely ({reason})") from None
    if not isinstance(state, dict) or not state or not all(torch.is_tensor(value) for value in state.values()):
        raise MedgridError(f"{path} holds no plain state dict (names to tensors); save model.state_dict()")
    return state


class Backbone(nn.Module):
    """uint8 images [B, H, W, 3] to float32 features [B, D]; a fixed function of each image.

    In eval mode for good: BatchNorm uses its stored statistics, dropout is off. Convolutions carry their
    BatchNorm folded in, which saves time and changes rounding (by less than 2e-5 of the largest feature, as tested).

    `dropout` is the rate that torchvision's head applies to the features in training.
    """

    def __init__(self, model: str, weights: Path | None, normalisation: str):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(INITIAL_SEED)
            network = torchvision.models.get_model(model, weights=None)
        if hasattr(network, "transform_input"):
            # torchvision's weights for the Inceptions were made for another normalisation, and it turns this on too
            network.transform_input = weights is not None
        name, layer, self.dropout = output_layer(network)
        if weights is None:
            self._settle(network)
        else:
            self._load(network, model, name, weights)
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())
        self.features = layer.in_features
        self.network = fuse(network.eval()).to(memory_format=torch.channels_last)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in NORMALISATION[normalisation])
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self.requires_grad_(False)
        self.eval()

    @staticmethod
    @torch.no_grad()
    def _settle(network: nn.Module) -> None:
        """Make random layers usable: as initialised, a deep network scrambles its input beyond any reading.

        Each convolution gets a pass-through beside its random part, and BatchNorm statistics are measured on
        fixed noise, without which activations grow by orders.
        """
        network.eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                passing = nn.init.dirac_(torch.empty_like(module.weight), module.groups)
                module.weight += PASSING * module.weight.flatten(1).norm(dim=1).mean() * passing
            elif isinstance(module, nn.BatchNorm2d):
                module.train()
                module.momentum = None  # plain mean over what passes, here one batch
        # coarse and fine noise together, since images have both
        generator = torch.Generator().manual_seed(INITIAL_SEED)
        coarse = torch.randn(32, 3, 4, 4, generator=generator)
        fine = torch.randn(32, 3, 96, 96, generator=generator)
        network(nn.functional.interpolate(coarse, size=96, mode="bilinear") + 0.2 * fine)

    @staticmethod
    def _load(network: nn.Module, model: str, output: str, path: Path) -> None:
        state = {name: value for name, value in load_state(path).items() if not name.startswith(f"{output}.")}
        try:
            result = network.load_state_dict(state, strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise MedgridError(f"{path} does not fit {model}: {reason}") from None
        # a headless file lacks the output layer, which is replaced anyway
        missing = [name for name in result.missing_keys if not name.startswith(f"{output}.")]
        if missing or result.unexpected_keys:
            lacks = f"lacks {missing[0]}" if missing else f"has {result.unexpected_keys[0]}, which it should not"
            raise MedgridError(f"{path} does not fit {model}: it {lacks}")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        batch = images.permute(0, 3, 1, 2).float()
        return self.network(batch * self.scale + self.shift).flatten(1)
