"""Whole networks that are stopped and resumed: the same bits, with augmentation and dropout."""

import contextlib
import io

import pytest
import torch

from medgrid.config import Augmentation, Model, Training
from medgrid.models.networks import build
from medgrid.training.data import Part
from medgrid.training.loop import Run, make_generators
from medgrid.training.whole_network import WholeNetwork

LAYERS = [
    {"conv": 4, "activation": "relu", "batch_norm": True},
    {"pool": "global_average"},
    {"dense": 8, "dropout": 0.5},
]
AUGMENTATION = Augmentation(rotation=20, horizontal_flip=0.5, vertical_flip=0.5, zoom=0.1, brightness=0.2)
TRAINING = Training(
    model="m", mode="scratch", optimizer="adam", augmentation="all", epochs=5, batch_size=8, lr=0.01
)  # fmt: skip


@pytest.fixture(scope="module")
def images() -> Part:
    pixels = torch.randint(0, 256, (40, 12, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Part(pixels, torch.arange(40), torch.arange(40) % 2)


def start(images: Part, seed: int = 1) -> Run:
    model, generators = Model(layers=LAYERS), make_generators(seed)
    network = build(model, 2, "unit", "random", 3, 12, seed=seed)
    learner = WholeNetwork(network, model, TRAINING, AUGMENTATION, generators, torch.device("cpu"))
    return Run(learner, [TRAINING], generators, "validation_loss", images, measured=False)


def train(run: Run, images: Part, until: int | None = None) -> Run:
    def after_epoch():
        if run.epoch == until:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        run.run(images, after_epoch)
    return run


@pytest.mark.parametrize("until", [1, 3])
def test_a_resumed_run_has_the_same_bits(until, images):
    uninterrupted = train(start(images), images).results({"validation": images})
    file = io.BytesIO()
    torch.save(train(start(images), images, until).state(), file)
    file.seek(0)
    resumed = start(images)
    resumed.restore(torch.load(file, weights_only=True))
    assert resumed.epoch == until
    results = train(resumed, images).results({"validation": images})
    for name in ("validation", "curves", "best_epoch"):
        assert torch.equal(results[name], uninterrupted[name]), name
    for name, tensor in uninterrupted["weights"].items():
        assert torch.equal(results["weights"][name], tensor), name


def test_augmentation_changes_the_training_and_not_the_order_of_batches(images, monkeypatch):
    orders = []
    step = WholeNetwork.step

    def recorded(network, inputs, labels):
        orders.append(inputs)
        return step(network, inputs, labels)

    monkeypatch.setattr(WholeNetwork, "step", recorded)
    augmented, plain = start(images), start(images)
    plain.learner.augmentation = None
    losses = [train(run, images).curves[0, :, 0] for run in (augmented, plain)]
    half = len(orders) // 2
    assert torch.equal(torch.cat(orders[:half]), torch.cat(orders[half:]))
    assert not torch.equal(*losses)
