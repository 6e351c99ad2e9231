"""Attribution of one prediction to image regions: LIME on superpixels, and Grad-CAM.

LIME: M. T. Ribeiro, S. Singh, C. Guestrin, KDD 2016. Grad-CAM: R. R. Selvaraju et al., ICCV 2017. SLIC superpixels:
R. Achanta et al., TPAMI 2012.
"""

from collections.abc import Callable

import numpy as np
import torch
from skimage.segmentation import slic
from torch import nn

from medgrid.models.networks import Network

SUPERPIXELS = 80  # requested from SLIC, which returns about as many
COMPACTNESS = 20  # of SLIC: weight of spatial distance relative to colour distance (in CIELAB)
SMOOTHING = 1  # standard deviation in pixels of the blur before SLIC; without it, noise fragments the segments
BATCH = 25  # perturbed images per forward pass
KERNEL = 0.25  # width of LIME's kernel, and 1.0 the penalty of its ridge regression: both as in the authors' own code
RIDGE = 1.0


def class_logits(network: Network) -> Callable[[torch.Tensor], torch.Tensor]:
    """uint8 images [B, H, W, C] to logits [B, classes], also where one logit stands for two classes."""

    def logits(images: torch.Tensor) -> torch.Tensor:
        outputs = network(images)
        # halves, so that their difference is the logit and each class has a gradient
        return torch.cat([-outputs, outputs], 1) / 2 if outputs.shape[1] == 1 else outputs

    return logits


def superpixels(image: np.ndarray) -> np.ndarray:
    """Number of each pixel's segment [H, W], from 0 without gaps, for a uint8 image [H, W, C]."""
    colour = np.broadcast_to(image, (*image.shape[:2], 3))
    segments = slic(colour, SUPERPIXELS, compactness=COMPACTNESS, sigma=SMOOTHING, start_label=0, channel_axis=-1)
    return np.unique(segments, return_inverse=True)[1].reshape(segments.shape)


def weighted_ridge(x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, penalty: float) -> torch.Tensor:
    """Coefficients [S] of a linear model with intercept, for x [n, S], y [n] and sample weights [n].

    They minimise sum(weights * (y - intercept - x @ coefficients)²) + penalty * sum(coefficients²).
    """
    x, y, weights = x.double(), y.double(), weights.double()
    # centring replaces the intercept, which is not penalised
    x = x - weights @ x / weights.sum()
    y = y - weights @ y / weights.sum()
    normal = (weights[:, None] * x).T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(normal, x.T @ (weights * y))


@torch.no_grad()
def lime(network: Network, image: torch.Tensor, segments: np.ndarray, target: int, perturbations: int) -> np.ndarray:
    """Weight [S] of each superpixel for the probability of class `target` in a uint8 `image` [H, W, C].

    The network sees `perturbations` copies of the image. Each keeps every superpixel (`segments` [H, W]) with
    probability 1/2 and has the image's mean colour elsewhere. The draws have a seed of their own.
    """
    numbers, logits = torch.from_numpy(segments), class_logits(network)
    draws = torch.rand(perturbations, int(segments.max()) + 1, generator=torch.Generator().manual_seed(0))
    kept = draws < 0.5  # [perturbations, S]
    mean = image.float().mean((0, 1)).round().to(torch.uint8)
    probabilities = []
    for batch in kept.split(BATCH):
        perturbed = torch.where(batch[:, numbers].unsqueeze(-1), image, mean)  # [batch, H, W, C]
        probabilities.append(logits(perturbed).softmax(1)[:, target])
    # cosine distance between a 0/1 vector and ones, the whole image
    distance = 1 - kept.float().mean(1).sqrt()
    nearness = torch.exp(-((distance / KERNEL) ** 2) / 2)
    return weighted_ridge(kept, torch.cat(probabilities), nearness, RIDGE).numpy()


def strongest(weights: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the superpixels with the largest absolute weight; of equal ones, the first."""
    return np.argsort(-np.abs(weights), kind="stable")[:count]


def last_map(network: Network, image: torch.Tensor) -> nn.Module | None:
    """The module that makes the last feature map; None where there is no map larger than one pixel.

    It is the backbone, or, where the backbone makes none, a part of backbone or head.
    """
    sides: dict[nn.Module, int] = {}

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() == 4:
            sides.pop(module, None)
            sides[module] = min(output.shape[2:])

    backbone = network.backbone
    parts = [backbone, *getattr(backbone, "network", backbone).children(), *network.head.children()]
    hooks = [part.register_forward_hook(note) for part in parts if not isinstance(part, nn.Identity)]
    with torch.no_grad():
        network(image[None])
    for hook in hooks:
        hook.remove()
    large = [module for module in ([backbone] if backbone in sides else sides) if sides[module] > 1]
    return large[-1] if large else None


def gradcam(network: Network, image: torch.Tensor, target: int) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Grad-CAM for class `target` of a uint8 `image` [H, W, C]: map [H, W] of 0 and more, and the sides it had.

    None where the network makes no feature map.
    """
    layer = last_map(network, image)
    if layer is None:
        return None
    features = torch.empty(0)

    def start_graph(_module: nn.Module, _inputs, output: torch.Tensor) -> torch.Tensor:
        nonlocal features
        features = output.detach().requires_grad_()  # gradients are needed from here on only
        return features.clone()  # the next layer may work in place

    hook = layer.register_forward_hook(start_graph)
    logit = class_logits(network)(image[None])[0, target]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, features)
    channel_weights = gradient.mean((2, 3), keepdim=True)
    cam = (channel_weights * features.detach()).sum(1, keepdim=True).relu()
    smooth = nn.functional.interpolate(cam, image.shape[:2], mode="bilinear")
    return smooth[0, 0].numpy(), (cam.shape[2], cam.shape[3])
