"""LIME and Grad-CAM against closed forms, and on networks whose decisive regions are known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from medgrid.config import Model
from medgrid.models.networks import Network, build
from medgrid.report.explanations import attribution

SIDE, SQUARE = 32, 4
# 64 squares, counted row by row
SEGMENTS = np.kron(np.arange(64).reshape(8, 8), np.ones((SQUARE, SQUARE), int))


class Places(nn.Module):
    """A head that looks at two places of an image: light in the first speaks for class 1, in the second against."""

    def __init__(self, speaks: tuple[slice, slice], against: tuple[slice, slice]):
        super().__init__()
        self.speaks, self.against = speaks, against

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        speaks, against = (images[:, :, *place].mean((1, 2, 3)) for place in (self.speaks, self.against))
        return 4 * (speaks - against)[:, None]


SPEAKS, AGAINST = (slice(4, 12), slice(16, 24)), (slice(20, 28), slice(4, 12))


def light(rows: slice, columns: slice, channel: slice = slice(None)) -> torch.Tensor:
    """A dark image [H, W, 3] with light in one rectangle."""
    image = torch.full((SIDE, SIDE, 3), 20, dtype=torch.uint8)
    image[rows, columns, channel] = 250
    return image


@pytest.fixture
def image() -> torch.Tensor:
    """Light around both places, and elsewhere."""
    return torch.maximum(light(slice(0, 32), slice(12, 32)), light(slice(16, 32), slice(0, 32)))


def looking(speaks: tuple, against: tuple) -> Network:
    """One logit, see `Places`."""
    return Network(nn.Identity(), Places(speaks, against), "unit", 3)


def lime(network: Network, image: torch.Tensor, target: int, perturbations: int = 200) -> np.ndarray:
    return attribution.lime(network, image, SEGMENTS, target, perturbations)


def test_lime_finds_the_squares_that_decide(image):
    network = looking(SPEAKS, AGAINST)
    weights = lime(network, image, target=1)
    assert len(weights) == 64
    found = attribution.strongest(weights, 8)
    assert {number for number in found if weights[number] > 0} == {12, 13, 20, 21}
    assert {number for number in found if weights[number] < 0} == {41, 42, 49, 50}
    # the other class sees it the other way round
    np.testing.assert_allclose(lime(network, image, target=0), -weights, atol=1e-5)


def test_lime_sees_a_change_of_place(image):
    weights = lime(looking((slice(4, 12), slice(20, 28)), AGAINST), image, target=1)
    assert {number for number in attribution.strongest(weights, 8) if weights[number] > 0} == {13, 14, 21, 22}


def test_lime_repeats_itself_and_leaves_chance_alone(image):
    network = looking(SPEAKS, AGAINST)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one = lime(network, image, target=1)
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(one, lime(network, image, target=1))


def test_the_network_sees_each_perturbed_image_once(image):
    """Each square is the image's or its mean colour, about half of each; no other image is passed through."""
    network, seen = looking(SPEAKS, AGAINST), []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    lime(network, image, target=1, perturbations=60)
    images = torch.cat(seen)
    assert len(images) == 60
    assert max(map(len, seen)) <= attribution.BATCH
    mean = image.float().mean((0, 1)).round().to(torch.uint8)
    squares = images.view(60, 8, SQUARE, 8, SQUARE, 3).transpose(2, 3)
    original = image.view(8, SQUARE, 8, SQUARE, 3).transpose(1, 2)
    kept = (squares == original).flatten(3).all(3)
    assert ((squares == mean).flatten(3).all(3) ^ kept).all()
    assert 0.45 < kept.float().mean() < 0.55
    assert len(images.unique(dim=0)) == 60


def test_lime_is_the_weighted_ridge_regression_of_its_authors(image):
    """The same regression with scikit-learn, of the images that the network saw."""
    network, seen = looking(SPEAKS, AGAINST), []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    weights = lime(network, image, target=1, perturbations=60)
    images = torch.cat(seen)
    kept = (images == image)[:, ::SQUARE, ::SQUARE].all(3).flatten(1).double()
    probabilities = network(images).sigmoid()[:, 0]
    distance = 1 - kept.sum(1) / (64 * kept.sum(1)).sqrt()
    nearness = (-(distance**2) / (2 * 0.25**2)).exp()
    expected = Ridge(alpha=1.0).fit(kept.numpy(), probabilities.numpy(), sample_weight=nearness.numpy())
    np.testing.assert_allclose(weights, expected.coef_, atol=1e-6)


def test_superpixels_follow_the_image():
    image = light(slice(8, 24), slice(8, 24)).numpy()
    segments = attribution.superpixels(image)
    assert 20 < len(np.unique(segments)) < 160
    assert segments.min() == 0
    assert segments.max() == len(np.unique(segments)) - 1
    inside = np.zeros((SIDE, SIDE), bool)
    inside[8:24, 8:24] = True
    assert not set(segments[inside]) & set(segments[~inside])
    assert attribution.superpixels(image[:, :, :1]).shape == (SIDE, SIDE)


def test_noise_has_superpixels_too():
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    assert 40 < len(np.unique(attribution.superpixels(noise))) < 160


def colours(outputs: int) -> Network:
    """Sees red for class 0 and blue for class 1, on a map of 8 x 8; all frozen, as in head_only."""
    backbone = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AvgPool2d(4))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, outputs, bias=False))
    nn.init.zeros_(backbone[0].weight)
    backbone[0].weight.data[0, 0] = backbone[0].weight.data[1, 2] = 1
    head[2].weight.data = torch.eye(2) if outputs == 2 else torch.tensor([[-1.0, 1.0]])
    return Network(backbone, head, "unit", 3).requires_grad_(False).eval()


@pytest.mark.parametrize("outputs", [1, 2])
def test_gradcam_finds_the_colour_that_decides(outputs):
    red, blue = (slice(0, 8), slice(0, 16)), (slice(24, 32), slice(16, 32))
    image = light(*red, slice(0, 1))
    image[(*blue, 2)] = 250
    for target, place in enumerate((red, blue)):
        values, sides = attribution.gradcam(colours(outputs), image, target)
        assert values.shape == (SIDE, SIDE)
        assert sides == (8, 8)
        peak = np.zeros((SIDE, SIDE), bool)
        peak[place] = True
        assert (values > 0.9 * values.max())[peak].mean() > 0.6
        assert not (values > 0.5 * values.max())[~peak].any()


@pytest.mark.parametrize("inplace", [False, True])
def test_gradcam_of_a_pooled_linear_head_is_a_class_activation_map(inplace):
    """There the gradient's mean over the map is the output weight divided by the number of places."""
    torch.manual_seed(0)
    backbone = nn.Conv2d(3, 5, 4, stride=4)
    head = nn.Sequential(nn.ReLU(inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
    network = Network(backbone, head, "unit", 3).eval()
    image = torch.randint(0, 256, (SIDE, SIDE, 3), dtype=torch.uint8)
    values, sides = attribution.gradcam(network, image, 2)
    assert sides == (8, 8)
    with torch.no_grad():
        features = backbone(network.prepare(image[None]))
        share = (features > 0).float().mean((2, 3))  # of places where the ReLU passes a gradient
        weights = head[3].weight[2] * share / 64
        coarse = (weights[..., None, None] * features).sum(1, keepdim=True).relu()
        expected = nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")[0, 0]
    assert values.max() > 0
    np.testing.assert_allclose(values, expected.numpy(), atol=1e-7)
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_the_last_map_is_found_where_there_is_one():
    image = light(slice(0, 8), slice(0, 8))
    own_head = build(Model(backbone="resnet18"), 2, "unit", "random", 3, SIDE * 2, 0).eval()
    assert (
        attribution.last_map(own_head, torch.cat([torch.cat([image] * 2)] * 2, 1)) is own_head.backbone.network.layer4
    )
    plain = build(Model(layers=[{"conv": 4}, {"pool": "max"}, {"pool": "flatten"}]), 2, "unit", "random", 3, SIDE, 0)
    assert attribution.last_map(plain, image) is plain.head[1]
    # whose last map is one pixel at this size
    small = build(Model(backbone="resnet18", layers=[{"pool": "global_average"}]), 2, "unit", "random", 3, SIDE, 0)
    assert attribution.last_map(small.eval(), image) is None
    dense = build(Model(layers=[{"pool": "flatten"}]), 2, "unit", "random", 3, SIDE, 0)
    assert attribution.gradcam(dense, image, 0) is None
