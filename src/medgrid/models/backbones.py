"""torchvision classifiers as backbones: cut where a head begins, with weights from a file or from chance."""

import re
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.fx import symbolic_trace
from torch.fx.experimental.optimization import fuse

from medgrid.models.light_torchvision import create_feature_extractor, get_graph_node_names, torchvision
from medgrid.utils.errors import MedgridError

# what follows scaling to 0..1: subtract the first, divide by the second, per channel
NORMALISATION = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "own": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # what torchvision's weights want: see `Trunk`
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
PASSING = 3.0  # of random_calibrated layers: norm of the pass-through, in norms of the random part
INITIAL_SEED = (
    0  # of random weights that no training changes: such a backbone is part of the data, not of a replicate
)
SMALLEST = {"inception_v3": 75}  # pixels below which a backbone has nothing left to pool


def normalising(normalisation: str, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and offset [channels, 1, 1] that take pixels of 0..255 to what a network wants."""
    mean, std = (torch.tensor(values) for values in NORMALISATION[normalisation])
    if channels == 1:
        mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
    return (1 / (255 * std)).view(-1, 1, 1), (-mean / std).view(-1, 1, 1)


def output_layer(model: nn.Module) -> tuple[str, nn.Linear, str | None]:
    """Name of the last linear layer, the layer itself, and the name of a dropout just before it, if there is one."""
    modules = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    last = max((i for i, (_, module) in enumerate(modules) if isinstance(module, nn.Linear)), default=None)
    if last is None:
        raise MedgridError(
            f"{type(model).__name__} ends in no linear layer that could be replaced; choose another model"
        )
    before = modules[last - 1]
    return *modules[last], before[0] if isinstance(before[1], nn.Dropout) else None


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


def _last_map(network: nn.Module, model: str) -> str:
    """Graph node of the last feature map: what the last pooling over space takes in."""
    with warnings.catch_warnings():  # that dropout leaves the graph in eval mode is no news
        warnings.simplefilter("ignore")
        _, names = get_graph_node_names(network)
    modules = dict(network.named_modules())
    function = re.compile(r"(adaptive_avg_pool2d|mean)(_\d+)?$")
    pooling = [
        i
        for i, name in enumerate(names)
        if isinstance(modules.get(name), nn.AdaptiveAvgPool2d) or function.match(name)
    ]
    if not pooling or not pooling[-1]:
        raise MedgridError(f"{model} pools no feature map before its output: use it without layers of one's own")
    return names[pooling[-1] - 1]


class Backbone(nn.Module):
    """A backbone up to a head's first layer: normalised float images [B, 3, H, W] to maps [B, F, h, w] or vectors [B, F].

    `dropout` is the rate that torchvision's own head applies first (0 for maps). Modules keep torchvision's names
    below `network`.
    """

    def __init__(
        self, model: str, feature_level: str, weights: Path | str, normalisation: str, seed: int = INITIAL_SEED
    ):
        """`cut`: output (all before the last linear layer) or map. `weights`: a file, `random` or `random_calibrated`.

        Raises MedgridError when the file does not fit.
        """
        super().__init__()
        self.model = model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _plain(model, drawn=not isinstance(weights, Path))
        if hasattr(network, "transform_input"):
            # Google's weights were made for inputs of -1..1, to which torchvision's Inceptions translate
            network.transform_input = normalisation == "own"
        if hasattr(network, "aux_logits"):
            # further classifiers halfway, which only training from scratch on ImageNet used
            network.aux_logits = False
            for name in {"AuxLogits", "aux1", "aux2"} & set(dict(network.named_children())):
                setattr(network, name, None)
        name, _, dropout = output_layer(network)
        self.dropout = 0.0
        if feature_level == "output":
            if dropout:
                self.dropout = network.get_submodule(dropout).p
                network.set_submodule(dropout, nn.Identity())
            network.set_submodule(name, nn.Identity())
        else:
            network = create_feature_extractor(network, {_last_map(network, model): "map"})
        self.network = network
        if weights == "random_calibrated":
            calibrate_batch_norm(network)
        elif isinstance(weights, Path):
            self._load(model, weights)

    def _load(self, model: str, path: Path) -> None:
        own = self.network.state_dict()
        state = load_state(path)
        # a whole classifier's file has an output layer (and more, behind a cut), which is replaced anyway
        with torch.device("meta"):
            everything = _plain(model, drawn=False).state_dict()
        unexpected = [name for name in state if name not in everything]
        missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
        try:
            self.network.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise MedgridError(f"{path} does not fit {model}: {reason}") from None
        if missing or unexpected:
            lacks = f"lacks {missing[0]}" if missing else f"has {unexpected[0]}, which it should not"
            raise MedgridError(f"{path} does not fit {model}: it {lacks}")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result = self.network(images)
        return result["map"] if isinstance(result, dict) else result.flatten(1)

    def shape(self, size: int) -> tuple[int, int]:
        """Channels and side of what it makes of images of `size` pixels; side 0: vectors.

        Raises MedgridError when it takes no images of that size.
        """
        training = self.training
        try:
            with torch.no_grad():
                made = self.eval()(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise MedgridError(
                f"{self.model} takes no images of {size} pixels; change image.size ({reason})"
            ) from None
        self.train(training)
        return made.shape[1], made.shape[2] if made.dim() == 4 else 0


def _plain(model: str, drawn: bool) -> nn.Module:
    """torchvision's own network, without a file; `drawn`: its initial weights matter."""
    # the Inceptions draw truncated normals, which takes seconds, and ask to be told
    options = {"init_weights": drawn} if model in ("inception_v3", "googlenet") else {}
    return torchvision.models.get_model(model, weights=None, **options)


@torch.no_grad()
def calibrate_batch_norm(network: nn.Module) -> None:
    """Make random layers usable: as initialised, a deep network scrambles its input beyond any reading.

    Each convolution gets a pass-through beside its random part, and BatchNorm statistics are measured on
    fixed noise, without which activations grow by orders.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in norms]
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
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum


class FrozenBackbone(nn.Module):
    """Float images [B, 3, H, W] of 0..255 to float32 features; a fixed function of each image.

    In eval mode for good: BatchNorm uses its stored statistics, dropout is off. Convolutions carry their
    BatchNorm folded in, which saves time and changes rounding (by less than 2e-5 of the largest feature, as tested).
    """

    def __init__(self, model: str, feature_level: str, weights: Path | str, normalisation: str):
        """`cut`: output, pooled (the mean of the last feature map) or map."""
        super().__init__()
        backbone = Backbone(model, "output" if feature_level == "output" else "map", weights, normalisation).eval()
        self.dropout, self.feature_level = backbone.dropout, feature_level
        # in place: a copy of a cut network forgets that it is in eval mode
        backbone.network = fuse(symbolic_trace(backbone.network).eval(), inplace=True)
        self.backbone = backbone.to(memory_format=torch.channels_last)
        scale, shift = normalising(normalisation, 3)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made = self.backbone(images * self.scale + self.shift)
        return made.mean((2, 3)) if self.feature_level == "pooled" else made
