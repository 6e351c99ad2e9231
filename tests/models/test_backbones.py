import pytest
import torch
import torchvision

from medgrid.errors import MedgridError
from medgrid.models.backbones import NORMALISATION, Backbone, output_layer

# folding BatchNorm into convolutions rounds differently; relative to the largest feature
TOLERANCE = 2e-5


def ordinary(model: str, images: torch.Tensor, state: dict) -> torch.Tensor:
    """Features the usual way: torchvision's network in eval mode, its last linear layer taken off."""
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


def trained_looking(model: str) -> dict:
    """A state dict with BatchNorm statistics that are not the initial ones."""
    torch.manual_seed(1)
    state = torchvision.models.get_model(model).state_dict()
    for name, value in state.items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return state


@pytest.mark.parametrize("model", ["resnet50", "efficientnet_b0", "mobilenet_v2"])
def test_features_are_torchvision_s(model, images, tmp_path):
    state = trained_looking(model)
    torch.save(state, tmp_path / "weights.pth")
    with torch.inference_mode():
        ours = Backbone(model, tmp_path / "weights.pth", "imagenet")(images)
    expected = ordinary(model, images, state)
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < TOLERANCE * expected.abs().max()


def test_each_image_is_on_its_own(images):
    with torch.inference_mode():
        backbone = Backbone("resnet18", None, "imagenet")
        together = backbone(images)
        alone = torch.cat([backbone(image[None]) for image in images])
    assert (together - alone).abs().max() < TOLERANCE * together.abs().max()


def test_headless_files_fit(images, tmp_path):
    state = trained_looking("resnet18")
    torch.save(state, tmp_path / "whole.pth")
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, tmp_path / "headless.pth")
    with torch.inference_mode():
        whole, headless = (
            Backbone("resnet18", tmp_path / f"{n}.pth", "imagenet")(images) for n in ("whole", "headless")
        )
    assert torch.equal(whole, headless)


def test_heads_for_other_classes_are_ignored(images, tmp_path):
    torch.save(torchvision.models.resnet18(num_classes=7).state_dict(), tmp_path / "seven.pth")
    assert Backbone("resnet18", tmp_path / "seven.pth", "imagenet").features == 512


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: torchvision.models.resnet34().state_dict(), "does not fit resnet18: it has layer1"),
        (lambda: {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "it lacks bn1.weight"),
        (lambda: {"conv1.weight": torch.zeros(64, 3, 3, 3)}, "does not fit resnet18: size mismatch"),
        (lambda: {"state_dict": {}}, "holds no plain state dict"),
        (lambda: torchvision.models.resnet18(), "cannot|not a state dict"),
    ],
)
def test_files_that_do_not_fit_are_named(content, message, tmp_path):
    torch.save(content(), tmp_path / "odd.pth")
    with pytest.raises(MedgridError, match=message) as caught:
        Backbone("resnet18", tmp_path / "odd.pth", "imagenet")
    assert "odd.pth" in str(caught.value)


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"PK not really")
    with pytest.raises(MedgridError, match="cut.pth is not a state dict"):
        Backbone("resnet18", tmp_path / "cut.pth", "imagenet")


def test_random_backbones_are_the_same_and_finite(images):
    torch.manual_seed(5)
    one = Backbone("mobilenet_v2", None, "imagenet")(images)
    torch.manual_seed(6)
    two = Backbone("mobilenet_v2", None, "imagenet")(images)
    assert torch.equal(one, two)
    assert one.isfinite().all()
    assert one.std() < 100


@pytest.mark.parametrize(
    ("model", "dropout"), [("efficientnet_b0", 0.2), ("mobilenet_v2", 0.2), ("resnet50", 0.0), ("vgg16", 0.5)]
)
def test_dropout_of_the_head_is_torchvision_s(model, dropout):
    assert output_layer(torchvision.models.get_model(model))[2] == dropout
