"""torchvision classifiers without their output, as backbones; with weights from a file, or random."""

import re
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.fx import symbolic_trace
from torch.fx.experimental.optimization import fuse

from medgrid.models.light_torchvision import create_feature_extractor, get_graph_node_names, torchvision
from medgrid.utils.errors import MedgridError

# mean and standard deviation of each channel, of pixels scaled to 0..1
NORMALISATION = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "own": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # that of torchvision's weights; see also `Backbone`
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
IDENTITY_SHARE = 3.0  # of random_calibrated layers: norm of the identity part, in norms of the random part
# seed of random weights that no training changes: all replicates have the same frozen backbone
INITIAL_SEED = 0
SMALLEST = {"inception_v3": 75}  # least size of an image in pixels: in smaller ones, a pooling has no input


def normalising(normalisation: str, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and offset [channels, 1, 1] that normalise pixels of 0..255."""
    mean, std = (torch.tensor(values) for values in NORMALISATION[normalisation])
    if channels == 1:
        mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
    return (1 / (255 * std)).view(-1, 1, 1), (-mean / std).view(-1, 1, 1)


def output_layer(model: nn.Module) -> tuple[str, str | None, float]:
    """Name of the last linear layer, and name and rate of the dropout directly before it (None, 0: there is none).

    Raises MedgridError when there is no linear layer.
    """
    last, dropout, rate = None, None, 0.0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            last = name, dropout, rate
        if isinstance(module, nn.Dropout):
            dropout, rate = name, module.p
        elif not list(module.children()):
            dropout, rate = None, 0.0
    if last is None:
        raise MedgridError(f"{type(model).__name__} has no linear output layer to replace; choose another model")
    return last


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict; raises MedgridError for anything else, such as a pickled model or a damaged file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = type(error).__name__
        raise MedgridError(f"{path} cannot be read as a state dict without running code ({reason})") from None
    if not isinstance(state, dict) or not state or not all(torch.is_tensor(value) for value in state.values()):
        raise MedgridError(f"{path} is not a state dict (names to tensors); save model.state_dict()")
    return state


def _last_map(network: nn.Module, model: str) -> str:
    """Graph node of the last feature map: the input of the last spatial pooling.

    Raises MedgridError when there is none.
    """
    with warnings.catch_warnings():  # about graphs of train and eval mode, which differ by dropout only
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
        raise MedgridError(f"{model} does not pool a feature map before its output; use it without layers")
    return names[pooling[-1] - 1]


class Backbone(nn.Module):
    """Normalised float images [B, 3, H, W] to the input of a head: maps [B, F, h, w] or vectors [B, F].

    `dropout` is the rate that torchvision's head applies to that input (0 for maps). Within `network`, modules have
    the names that they have in torchvision.
    """

    def __init__(
        self, model: str, feature_level: str, weights: Path | str, normalisation: str, seed: int = INITIAL_SEED
    ):
        """`feature_level`: output (everything before the last linear layer) or map (up to the last feature map).

        `weights`: a file, `random` or `random_calibrated`. Raises MedgridError when the file does not fit.
        """
        super().__init__()
        self.model = model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _torchvision_network(model, initialise=not isinstance(weights, Path))
        if hasattr(network, "transform_input"):
            # torchvision's Inceptions have Google's weights for inputs of -1..1, and convert ImageNet's normalisation
            network.transform_input = normalisation == "own"  # pyrefly: ignore[bad-argument-type] - a plain attribute
        if hasattr(network, "aux_logits"):
            # auxiliary classifiers, which are used only for training from scratch on ImageNet
            network.aux_logits = False  # pyrefly: ignore[bad-argument-type] - a plain attribute
            for name in {"AuxLogits", "aux1", "aux2"} & set(dict(network.named_children())):
                setattr(network, name, None)
        name, dropout, rate = output_layer(network)
        self.dropout = rate if feature_level == "output" else 0.0
        if feature_level == "output":
            if dropout:
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
        needed = self.network.state_dict()
        state = load_state(path)
        # the file of a whole classifier has layers after the feature level; they are not used
        with torch.device("meta"):
            classifier = _torchvision_network(model, initialise=False).state_dict()
        unexpected = [name for name in state if name not in classifier]
        missing = [name for name in needed if name not in state and not name.endswith("num_batches_tracked")]
        try:
            used = {name: value for name, value in state.items() if name in needed}
            self.network.load_state_dict(used, strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise MedgridError(f"{path} does not fit {model}: {reason}") from None
        if missing or unexpected:
            problem = f"{missing[0]} is missing" if missing else f"{unexpected[0]} is unexpected"
            raise MedgridError(f"{path} does not fit {model}: {problem}")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result = self.network(images)
        return result["map"] if isinstance(result, dict) else result.flatten(1)

    def shape(self, size: int) -> tuple[int, int]:
        """Channels and side of the output for images of `size` pixels; side 0 means vectors.

        Raises MedgridError when the backbone does not accept images of that size.
        """
        training = self.training
        try:
            with torch.no_grad():
                output = self.eval()(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise MedgridError(
                f"{self.model} does not accept images of {size} pixels; change image.size ({reason})"
            ) from None
        self.train(training)
        return output.shape[1], output.shape[2] if output.dim() == 4 else 0


def _torchvision_network(model: str, initialise: bool) -> nn.Module:
    """torchvision's network without a file; `initialise`: its initial weights are used."""
    # the Inceptions draw truncated normals, which takes seconds, and warn without this option
    options = {"init_weights": initialise} if model in ("inception_v3", "googlenet") else {}
    return torchvision.models.get_model(model, weights=None, **options)


@torch.no_grad()
def calibrate_batch_norm(network: nn.Module) -> None:
    """Change the weights of a random network so that its features can be classified.

    As initialised, a deep network loses the structure of its input. Here each convolution is the sum of its random
    weights and an identity, and the running statistics of BatchNorm are measured on fixed noise; otherwise
    activations grow by orders of magnitude.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in norms]
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            identity = nn.init.dirac_(torch.empty_like(module.weight), module.groups)
            module.weight += IDENTITY_SHARE * module.weight.flatten(1).norm(dim=1).mean() * identity
        elif isinstance(module, nn.BatchNorm2d):
            module.train()
            module.momentum = None  # the mean over all batches: here one
    # images have coarse and fine structure
    generator = torch.Generator().manual_seed(INITIAL_SEED)
    coarse = torch.randn(32, 3, 4, 4, generator=generator)
    fine = torch.randn(32, 3, 96, 96, generator=generator)
    network(nn.functional.interpolate(coarse, size=96, mode="bilinear") + 0.2 * fine)
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum


class FrozenBackbone(nn.Module):
    """Float images [B, 3, H, W] of 0..255 to float32 features, which depend on nothing but the image.

    It stays in eval mode: BatchNorm uses its running statistics, dropout is off. BatchNorm is folded into the
    convolutions before it, which saves time and changes rounding (tested: by less than 2e-5 of the largest feature).
    """

    def __init__(self, model: str, feature_level: str, weights: Path | str, normalisation: str):
        """`feature_level`: output [B, F], pooled [B, F] (mean of the last feature map) or map [B, F, h, w]."""
        super().__init__()
        backbone = Backbone(model, "output" if feature_level == "output" else "map", weights, normalisation).eval()
        self.dropout, self.feature_level = backbone.dropout, feature_level
        # in place: a copy of a traced network is not in eval mode
        backbone.network = fuse(symbolic_trace(backbone.network).eval(), inplace=True)
        self.backbone = backbone.to(memory_format=torch.channels_last)
        scale, shift = normalising(normalisation, 3)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.backbone(images * self.scale + self.shift)
        return features.mean((2, 3)) if self.feature_level == "pooled" else features
