"""The last Keras layers and blocks, against lists written by hand from the output of Keras."""

import pytest
import torch
import torchvision
from torch import nn

from medgrid.architectures.keras_layers import _lists, last_blocks, last_layers
from medgrid.config import Model, Training
from medgrid.models.networks import build, freeze
from medgrid.utils.errors import MedgridError

# modules that train with `layer.trainable = True` for the last k layers of Keras's backbone (include_top=False)
BOTTLENECK = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3"]
BY_HAND = {
    ("vgg19", 3): ["features.34", "features.32"],
    ("vgg19", 12): [f"features.{i}" for i in (34, 32, 30, 28, 25, 23, 21, 19, 16)],
    ("vgg19", 20): [f"features.{i}" for i in (34, 32, 30, 28, 25, 23, 21, 19, 16, 14, 12, 10, 7, 5, 2)],
    ("resnet50", 3): ["layer4.2.bn3"],
    ("resnet50", 12): [f"layer4.2.{name}" for name in BOTTLENECK],
    ("resnet50", 20): [f"layer4.{block}.{name}" for block in (1, 2) for name in BOTTLENECK],
    ("inception_v3", 3): [],
    ("inception_v3", 12): ["Mixed_7c.branch_pool.conv", "Mixed_7c.branch_pool.bn", "Mixed_7c.branch1x1.bn"],
    ("inception_v3", 20): [
        *(f"Mixed_7c.{branch}.{part}" for branch in ("branch_pool", "branch1x1", "branch3x3dbl_3a", "branch3x3dbl_3b")
          for part in ("conv", "bn")),
        "Mixed_7c.branch3x3_2a.bn", "Mixed_7c.branch3x3_2b.bn",
    ],
    ("efficientnet_b0", 3): ["features.8.0", "features.8.1"],
    ("efficientnet_b0", 12): [
        "features.8.0", "features.8.1",
        *(f"features.7.0.block.{name}" for name in ("3.1", "3.0", "2.fc2", "2.fc1", "1.1")),
    ],
    ("efficientnet_b0", 20): [
        "features.8.0", "features.8.1",
        *(f"features.7.0.block.{name}" for name in ("3.1", "3.0", "2.fc2", "2.fc1", "1.1", "1.0", "0.1", "0.0")),
        "features.6.3.block.3.1", "features.6.3.block.3.0",
    ],
}  # fmt: skip
# trainable parameters that Keras reports, corrected for torchvision: ResNet's convolutions have no biases, and
# Inception's BatchNorm has scales
TRAINABLE = {
    ("vgg19", 3): 4_719_616, ("vgg19", 12): 18_288_896, ("vgg19", 20): 20_022_592,
    ("resnet50", 3): 4_096, ("resnet50", 12): 4_465_664 - 3_072, ("resnet50", 20): 8_931_328 - 6_144,
    ("inception_v3", 3): 0, ("inception_v3", 12): 393_728 + 512, ("inception_v3", 20): 1_935_360 + 2_048,
    ("efficientnet_b0", 3): 412_160, ("efficientnet_b0", 12): 895_536, ("efficientnet_b0", 20): 1_350_960,
}  # fmt: skip


def training(**changes) -> Training:
    settings = {"model": "m", "mode": "last_layers", "optimizer": "adam", "epochs": 1, "batch_size": 2, "lr": 0.1}
    return Training(**settings | changes)


@pytest.fixture(scope="module")
def networks() -> dict:
    """One network for each backbone, with a head of 4 outputs."""
    return {
        backbone: build(Model(backbone=backbone, layers=[{"pool": "global_average"}]), 4, "unit", "random", 3, 96, 0)
        for backbone in ("vgg19", "resnet50", "inception_v3", "efficientnet_b0")
    }


@pytest.mark.parametrize(("backbone", "count"), BY_HAND)
def test_last_keras_layers(backbone, count, networks):
    assert sorted(last_layers(backbone, count)) == sorted(BY_HAND[backbone, count])
    network = networks[backbone]
    trained = freeze(network, Model(backbone=backbone, layers=[{"pool": "global_average"}]), training(unfrozen=count))
    trainable = {name for name, parameter in network.backbone.network.named_parameters() if parameter.requires_grad}
    assert {name.rpartition(".")[0] for name in trainable} == set(BY_HAND[backbone, count])
    counted = sum(p.numel() for p in network.backbone.parameters() if p.requires_grad)
    assert counted == TRAINABLE[backbone, count]
    assert all(p.requires_grad for p in network.head.parameters())
    # statistics of frozen BatchNorm layers stay: only what trains goes into train mode
    network.eval()
    for module in trained:
        module.train()
    training_norms = {
        name for name, module in network.backbone.network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.training
    }  # fmt: skip
    norms = {name for name, module in network.backbone.network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert training_norms == norms & set(BY_HAND[backbone, count])


@pytest.mark.parametrize("backbone", ["vgg19", "resnet50", "inception_v3", "efficientnet_b0"])
def test_without_unfrozen_layers_only_the_head_trains(backbone, networks):
    freeze(networks[backbone], Model(backbone=backbone, layers=[{"pool": "global_average"}]), training(unfrozen=0))
    assert not any(p.requires_grad for p in networks[backbone].backbone.parameters())
    assert last_layers(backbone, 0) == []


@pytest.mark.parametrize(
    "backbone", ["vgg16", "vgg19", "resnet50", "inception_v3", "efficientnet_b0", "mobilenet_v2"]
)
def test_listed_modules_exist_and_blocks_cover_a_backbone_once(backbone):
    options = {"init_weights": False} if backbone == "inception_v3" else {}
    with torch.device("meta"):
        modules = dict(torchvision.models.get_model(backbone, **options).named_modules())
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    for _, module in _lists()["layers"].get(backbone, []):
        assert module is None or isinstance(modules[module], kinds), module
    weighted = {
        name for name, module in modules.items()
        if isinstance(module, kinds) and not name.startswith(("AuxLogits", "classifier", "fc"))
    }  # fmt: skip
    covered = [
        inner for prefix in last_blocks(backbone, len(_lists()["blocks"][backbone]))
        for inner in weighted if inner == prefix or inner.startswith(f"{prefix}.")
    ]  # fmt: skip
    assert sorted(covered) == sorted(weighted)


def test_the_last_three_blocks_of_vgg16():
    assert sorted(last_blocks("vgg16", 3)) == sorted(f"features.{i}" for i in (10, 12, 14, 17, 19, 21, 24, 26, 28))


def test_backbones_without_lists_and_too_many_layers_are_errors():
    with pytest.raises(MedgridError, match="there is no list of the last layers of densenet121"):
        last_layers("densenet121", 3)
    with pytest.raises(MedgridError, match="unfrozen: 99 is too large; resnet50 has 40 listed layers"):
        last_layers("resnet50", 99)
