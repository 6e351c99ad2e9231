"""Ten optimizer steps of each training mode, against a plain PyTorch loop that uses nothing of medgrid.

The plain loop takes torchvision's network, normalises it and freezes modules listed here. Both use the same batches
and initial weights. Everything is float64 on the CPU, because BatchNorm over small batches amplifies the rounding of
float32 within ten steps.
"""

import pytest
import torch
import torchvision
from torch import nn
from torch.fx import graph_module
from torch.nn import functional

from medgrid.config import Model, Training
from medgrid.models.networks import build
from medgrid.training.data import Part
from medgrid.training.loop import Run, make_generators
from medgrid.training.whole_network import WholeNetwork

IMAGES, BATCH, SIZE = 40, 4, 80
# of weights of order 1, after ten steps
TOLERANCE = 1e-7
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

HEAD = [{"pool": "global_average"}, {"dense": 8, "activation": "relu", "l2": 0.01}]
# mode: backbone, settings, whether a module of the backbone trains
CASES = {
    "full": ("resnet18", {"mode": "full"}, lambda name: True),
    "scratch": ("resnet18", {"mode": "scratch"}, lambda name: True),
    "head only, on images": ("resnet18", {"mode": "head_only"}, lambda name: False),
    "last 3 layers": (
        "resnet50",
        {"mode": "last_layers", "unfrozen": 3},
        lambda name: name.startswith("layer4.2.bn3"),
    ),
    "last 12 layers": (
        "resnet50",
        {"mode": "last_layers", "unfrozen": 12},
        lambda name: name.startswith(tuple(f"layer4.2.{kind}{i}" for kind in ("conv", "bn") for i in (1, 2, 3))),
    ),
    "last 2 blocks": (
        "mobilenet_v2",
        {"mode": "last_blocks", "unfrozen": 2},
        lambda name: name.startswith(("features.18", "features.17")),
    ),
    "Inception, no second head": ("inception_v3", {"mode": "full"}, lambda name: not name.startswith("AuxLogits")),
}  # fmt: skip
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, 1e-3),
    "sgd": lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-3),
}


def settings(**changes) -> Training:
    common = {"model": "m", "optimizer": "sgd", "momentum": 0.9, "epochs": 1, "batch_size": BATCH, "lr": 1e-3}
    return Training(**common | changes)


@pytest.fixture(scope="module")
def images() -> Part:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    return Part(pixels, torch.arange(IMAGES), torch.randint(0, 2, (IMAGES,), generator=generator))


class Plain:
    """torchvision's network up to its pooling, then a pooled head, frozen where `trains` says so."""

    def __init__(self, backbone: str, ours, trains, outputs: int):
        options = {"init_weights": False} if backbone == "inception_v3" else {}
        self.network = torchvision.models.get_model(backbone, weights=None, **options)
        state = {name.removeprefix("backbone.network."): value for name, value in ours.state_dict().items()}
        self.network.load_state_dict(state, strict=False)
        self.backbone = backbone
        linear = [module for module in ours.head if isinstance(module, nn.Linear)]
        self.head = nn.ModuleList([nn.Linear(layer.in_features, layer.out_features) for layer in linear])
        for mine, theirs in zip(self.head, linear, strict=True):
            mine.load_state_dict(theirs.state_dict())
        self.network.double()
        self.head.double()
        self.network.eval()
        for name, module in self.network.named_modules():
            if not list(module.children()):
                module.train(trains(name))
        self.learned = {n: p for n, p in self.network.named_parameters() if trains(n) and n in state}
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in self.learned)

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        x = ((pixels.double() / 255 - MEAN.double()) / STD.double()).permute(0, 3, 1, 2)
        if self.backbone.startswith("resnet"):
            for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
                x = self.network.get_submodule(name)(x)
        elif self.backbone == "inception_v3":
            for name, module in self.network.named_children():
                if name not in ("AuxLogits", "avgpool", "dropout", "fc"):
                    x = module(x)
        else:
            x = self.network.features(x)
        return self.head[1](functional.relu(self.head[0](x.mean((2, 3)))))

    def step(self, pixels, labels, optimizer) -> float:
        optimizer.zero_grad()
        logits = self.logits(pixels)
        if logits.shape[1] == 1:
            loss = functional.binary_cross_entropy_with_logits(logits[:, 0], labels.double())
        else:
            loss = functional.cross_entropy(logits, labels)
        (loss + 0.01 * self.head[0].weight.square().sum()).backward()
        optimizer.step()
        return loss.item()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "loss"), [*((case, "cross_entropy") for case in CASES), ("last 2 blocks", "binary_cross_entropy")]
)
def test_ten_steps_are_plain_pytorch_s(case, loss, images):
    backbone, changes, trains = CASES[case]
    training, model = settings(**changes, loss=loss), Model(backbone=backbone, layers=HEAD)
    outputs = training.outputs or 2
    network = build(
        model, outputs, "imagenet", "random" if case == "scratch" else "random_calibrated", 3, SIZE, seed=1
    )
    network.double()
    mean, std = (values.double().view(3, 1, 1) for values in (MEAN, STD))
    network.scale, network.shift = 1 / (255 * std), -mean / std
    plain = Plain(backbone, network, trains, outputs)
    generators = make_generators(5)
    learner = WholeNetwork(network, model, training, None, generators, torch.device("cpu"))
    run = Run(learner, [training], generators, "validation_loss", images, measured=False)
    run.run(images, lambda: None)

    optimizer = OPTIMIZERS["sgd"]([*plain.learned.values(), *plain.head.parameters()])
    total = 0.0
    order = torch.randperm(IMAGES, generator=make_generators(5)["order"])
    for rows in order.split(BATCH):
        total += plain.step(images.inputs[rows], images.labels[rows], optimizer) * len(rows)
    assert run.curves[0, 0, 0] == pytest.approx(total / IMAGES, rel=1e-6)

    ours = {name.removeprefix("backbone.network."): value for name, value in network.state_dict().items()}
    theirs = plain.network.state_dict()
    for name, value in ours.items():
        if name in theirs and value.is_floating_point():
            assert (value - theirs[name]).abs().max() <= TOLERANCE * theirs[name].abs().max().clamp(min=1), name
    heads = [module for module in network.head if isinstance(module, nn.Linear)]
    for mine, other in zip(heads, plain.head, strict=True):
        assert (mine.weight - other.weight).abs().max() < TOLERANCE
    moved = {n for n, p in network.backbone.network.named_parameters() if p.requires_grad}
    assert moved == set(plain.learned)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_other_optimizers_do_the_same(optimizer, images):
    training, model = (
        settings(mode="full", optimizer=optimizer, momentum=0.0),
        Model(backbone="resnet18", layers=HEAD),
    )
    network = build(model, 2, "imagenet", "random_calibrated", 3, SIZE, seed=1).double()
    plain = Plain("resnet18", network, lambda name: True, 2)
    learner = WholeNetwork(network, model, training, None, make_generators(5), torch.device("cpu"))
    mine = OPTIMIZERS[optimizer]([*plain.learned.values(), *plain.head.parameters()])
    for rows in torch.arange(IMAGES).split(BATCH)[:2]:
        expected = plain.step(images.inputs[rows], images.labels[rows], mine)
        loss, _ = learner.step(images.inputs[rows], images.labels[rows])
        assert loss.item() / BATCH == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_traced_network_is_compiled_once_per_epoch(images):
    """torch.fx keeps the source of each compiled graph, so switching modes in each step would fill the memory."""
    model, training = Model(backbone="resnet18", layers=HEAD), settings(mode="full", epochs=3)
    network = build(model, 2, "imagenet", "random_calibrated", 3, SIZE, seed=1)
    generators = make_generators(5)
    learner = WholeNetwork(network, model, training, None, generators, torch.device("cpu"))
    run = Run(learner, [training], generators, "validation_loss", images, measured=False)
    counts = []
    run.run(images, lambda: counts.append(len(graph_module._loader.eval_cache)))
    assert counts[2] - counts[1] <= 4 < IMAGES // BATCH
