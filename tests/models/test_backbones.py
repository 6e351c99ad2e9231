import pytest
import torch
import torchvision

from medgrid.models.backbones import NORMALISATION, Backbone, FrozenBackbone
from medgrid.models.networks import to_float
from medgrid.utils.errors import MedgridError

# folding BatchNorm into convolutions rounds differently; relative to the largest feature
TOLERANCE = 2e-5


def reference(model: str, images: torch.Tensor, state: dict) -> torch.Tensor:
    """Features of torchvision's network in eval mode: the input of its last linear layer."""
    network = torchvision.models.get_model(model)
    network.load_state_dict(state)
    seen = []
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            last = module
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in NORMALISATION["imagenet"])
    with torch.inference_mode():
        network.eval()((images.permute(0, 3, 1, 2) / 255 - mean) / std)
    return seen[0]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def state_like_trained(model: str) -> dict:
    """A state dict with BatchNorm statistics that are not the initial ones."""
    torch.manual_seed(1)
    options = {"init_weights": False} if model == "inception_v3" else {}
    state = torchvision.models.get_model(model, **options).state_dict()
    for name, value in state.items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return state


@pytest.mark.parametrize("model", ["resnet50", "efficientnet_b0", "mobilenet_v2"])
def test_features_are_torchvision_s(model, images, tmp_path):
    state = state_like_trained(model)
    torch.save(state, tmp_path / "weights.pth")
    with torch.inference_mode():
        ours = FrozenBackbone(model, "output", tmp_path / "weights.pth", "imagenet")(to_float(images))
    expected = reference(model, images, state)
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < TOLERANCE * expected.abs().max()


def test_features_do_not_depend_on_other_images(images):
    with torch.inference_mode():
        backbone = FrozenBackbone("resnet18", "output", "random_calibrated", "imagenet")
        together = backbone(to_float(images))
        alone = torch.cat([backbone(to_float(image[None])) for image in images])
    assert (together - alone).abs().max() < TOLERANCE * together.abs().max()


def test_files_without_an_output_layer_fit(images, tmp_path):
    state = state_like_trained("resnet18")
    torch.save(state, tmp_path / "whole.pth")
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, tmp_path / "headless.pth")
    with torch.inference_mode():
        whole, headless = (
            FrozenBackbone("resnet18", "output", tmp_path / f"{n}.pth", "imagenet")(to_float(images))
            for n in ("whole", "headless")
        )
    assert torch.equal(whole, headless)


def test_heads_for_other_classes_are_ignored(images, tmp_path):
    torch.save(torchvision.models.resnet18(num_classes=7).state_dict(), tmp_path / "seven.pth")
    assert Backbone("resnet18", "output", tmp_path / "seven.pth", "imagenet").shape(64) == (512, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: torchvision.models.resnet34().state_dict(), "does not fit resnet18: layer1.* is unexpected"),
        (lambda: {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "bn1.weight is missing"),
        (lambda: {"conv1.weight": torch.zeros(64, 3, 3, 3)}, "does not fit resnet18: size mismatch"),
        (lambda: {"state_dict": {}}, "is not a state dict"),
        (lambda: torchvision.models.resnet18(), "cannot be read as a state dict"),
    ],
)
def test_errors_name_files_that_do_not_fit(content, message, tmp_path):
    torch.save(content(), tmp_path / "odd.pth")
    with pytest.raises(MedgridError, match=message) as caught:
        FrozenBackbone("resnet18", "output", tmp_path / "odd.pth", "imagenet")
    assert "odd.pth" in str(caught.value)


def test_errors_name_damaged_files(tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"PK not really")
    with pytest.raises(MedgridError, match="cut.pth cannot be read as a state dict"):
        FrozenBackbone("resnet18", "output", tmp_path / "cut.pth", "imagenet")


def test_random_backbones_are_the_same_and_finite(images):
    torch.manual_seed(5)
    one = FrozenBackbone("mobilenet_v2", "output", "random_calibrated", "imagenet")(to_float(images))
    torch.manual_seed(6)
    two = FrozenBackbone("mobilenet_v2", "output", "random_calibrated", "imagenet")(to_float(images))
    assert torch.equal(one, two)
    assert one.isfinite().all()
    assert one.std() < 100


@pytest.mark.parametrize(
    ("model", "dropout"), [("efficientnet_b0", 0.2), ("mobilenet_v2", 0.2), ("resnet50", 0.0), ("vgg16", 0.5)]
)
def test_dropout_of_the_head_is_torchvision_s(model, dropout):
    assert Backbone(model, "output", "random", "imagenet").dropout == dropout


@pytest.mark.parametrize(
    "model",
    ["resnet50", "efficientnet_b0"]
    + [pytest.param(model, marks=pytest.mark.slow) for model in ("vgg16", "inception_v3", "densenet121")],
)
def test_maps_are_those_that_torchvision_pools(model, images, tmp_path):
    """A map is the input of the last pooling; files without the layers after it fit."""
    state = state_like_trained(model)
    heads = ("classifier", "fc", "AuxLogits")
    torch.save(
        {name: value for name, value in state.items() if not name.startswith(heads)}, tmp_path / "backbone.pth"
    )
    network = torchvision.models.get_model(model, **({"init_weights": False} if model == "inception_v3" else {}))
    network.load_state_dict(state)
    if model == "inception_v3":
        network.transform_input = True
    seen = []
    # densenet and efficientnet apply the last activation by function or as a module of its own
    last = {"vgg16": "features", "resnet50": "layer4", "inception_v3": "Mixed_7c"}.get(model, "features")
    network.get_submodule(last).register_forward_hook(lambda _, inputs, output: seen.append(output))
    pixels = to_float(images)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in NORMALISATION["imagenet"])
    with torch.inference_mode():
        network.eval()((pixels / 255 - mean) / std)
        expected = seen[0].relu() if model == "densenet121" else seen[0]
        ours = FrozenBackbone(model, "map", tmp_path / "backbone.pth", "imagenet")(pixels)
        pooled = FrozenBackbone(model, "pooled", tmp_path / "backbone.pth", "imagenet")(pixels)
    assert (ours - expected).abs().max() < TOLERANCE * expected.abs().max()
    assert (pooled - expected.mean((2, 3))).abs().max() < TOLERANCE * expected.abs().max()


def test_a_backbone_without_a_pooled_map_is_an_error():
    with pytest.raises(MedgridError, match="vit_b_16 does not pool a feature map"):
        Backbone("vit_b_16", "map", "random", "imagenet")


def test_images_that_are_too_small_are_reported():
    for model, size in (("vgg16", 16), ("alexnet", 32), ("vit_b_16", 32)):
        with pytest.raises(MedgridError, match=f"{model} does not accept images of {size} pixels; change image.size"):
            Backbone(model, "output", "random", "imagenet").shape(size)
