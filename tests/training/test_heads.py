"""Stacked heads against the same heads alone and against plain PyTorch, and runs stopped midway."""

import contextlib
import copy
import io

import pytest
import torch
from conftest import training
from torch import nn

from medgrid.training.heads import HeadStack, drop
from medgrid.training.loop import Part, StackRun, generator

CLASSES, FEATURES = 4, 48
# differently shaped matrix products round differently; over the epochs here, on weights of order 0.1
TOLERANCE = 2e-5


def part(count: int, seed: int) -> Part:
    """Noisy, but learnable."""
    chance = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=chance)
    centres = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(99))
    return Part(centres[labels] + 2 * torch.randn(count, FEATURES, generator=chance), labels)


TRAIN, VALIDATION = part(150, 0), part(70, 1)
MEMBERS = [
    training(lr=1e-3, epochs=8),
    training(lr=1e-2, epochs=8, weight_decay=0.1),
    training(lr=1e-2, epochs=8, optimizer="sgd", momentum=0.9),
    training(lr=1e-3, epochs=8, optimizer="rmsprop"),
    training(lr=3e-3, epochs=8, optimizer="adam"),
]


def train(members, seed=3, dropout=0.0, until=None) -> StackRun:
    run = StackRun(members, seed, "validation_loss", TRAIN, CLASSES, dropout)

    def after_epoch():
        if run.epoch == until:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        run.run(VALIDATION, after_epoch)
    return run


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_stacked_equals_alone(dropout):
    together = train(MEMBERS, dropout=dropout)
    for i, member in enumerate(MEMBERS):
        alone = train([member], dropout=dropout)
        assert (together.heads()["weight"][i] - alone.heads()["weight"][0]).abs().max() < TOLERANCE, member
        assert (together.curves[i] - alone.curves[0]).abs().max() < 10 * TOLERANCE
        assert together.best_epoch[i] == alone.best_epoch[0]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: f"{member.optimizer}-{member.lr}")
def test_a_head_is_plain_pytorch(member):
    """Against an ordinary layer, an ordinary optimizer and the ordinary loss, over the same batches."""
    run = train([member])
    layer = nn.Linear(FEATURES, CLASSES)
    start = HeadStack([member], FEATURES, CLASSES, 0.0, generator(3, "initial"), torch.device("cpu"))
    with torch.no_grad():
        layer.weight.copy_(start.weight[0])
        layer.bias.copy_(start.bias[0])
    optimizer = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=member.lr, weight_decay=member.weight_decay),
        "adam": lambda p: torch.optim.Adam(p, lr=member.lr, weight_decay=member.weight_decay),
        "sgd": lambda p: torch.optim.SGD(p, member.lr, member.momentum, weight_decay=member.weight_decay),
        "rmsprop": lambda p: torch.optim.RMSprop(p, member.lr, weight_decay=member.weight_decay),
    }[member.optimizer](layer.parameters())
    order = generator(3, "order")
    for epoch in range(member.epochs):
        for rows in torch.randperm(len(TRAIN.labels), generator=order).split(member.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(TRAIN.features[rows]), TRAIN.labels[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            logits = layer(VALIDATION.features)
            loss = nn.functional.cross_entropy(logits, VALIDATION.labels)
            accuracy = (logits.argmax(1) == VALIDATION.labels).float().mean()
        assert abs(run.curves[0, epoch, 2] - loss) < 10 * TOLERANCE
        assert abs(run.curves[0, epoch, 3] - accuracy) < 1e-6
    assert (run.heads()["weight"][0, 1] - layer.weight).abs().max() < TOLERANCE


def test_dropout_keeps_the_mean():
    features = drop(torch.ones(64, 10_000), 0.25, generator(0, "dropout"))
    assert abs((features == 0).float().mean() - 0.25) < 0.005
    assert torch.equal(features.unique(), torch.tensor([0.0, 1 / 0.75]))


def test_dropout_is_for_training_only():
    stack = HeadStack([training()], FEATURES, CLASSES, 0.25, generator(0, "initial"), torch.device("cpu"))
    by_hand = TRAIN.features @ stack.weight[0].T + stack.bias[0]
    assert torch.allclose(stack.logits(TRAIN.features)[:, 0], by_hand, atol=1e-5)


def test_seeds_decide_and_do_not_interfere():
    one, same, other = train(MEMBERS), train(MEMBERS), train(MEMBERS, seed=4)
    assert torch.equal(one.heads()["weight"], same.heads()["weight"])
    assert not torch.equal(one.heads()["weight"], other.heads()["weight"])


def test_dropout_does_not_move_the_order_of_batches(monkeypatch):
    seen = []
    monkeypatch.setattr(HeadStack, "step", lambda stack, features, labels, chance: seen.append(labels))
    for dropout in (0.0, 0.5):
        run = StackRun(MEMBERS, 3, "validation_loss", TRAIN, CLASSES, dropout)
        drop(TRAIN.features, 0.5, run.generators["dropout"])
        run.run(VALIDATION, lambda: None)
    half = len(seen) // 2
    assert half > MEMBERS[0].epochs
    assert torch.equal(torch.cat(seen[:half]), torch.cat(seen[half:]))


@pytest.mark.parametrize("until", [1, 5])
def test_a_stopped_run_ends_with_the_same_bits(until):
    undisturbed = train(MEMBERS, dropout=0.2)
    stopped = train(MEMBERS, dropout=0.2, until=until)
    saved = io.BytesIO()
    torch.save(stopped.state(), saved)
    saved.seek(0)
    resumed = StackRun(MEMBERS, 3, "validation_loss", TRAIN, CLASSES, 0.2)
    resumed.restore(torch.load(saved, weights_only=True))
    assert resumed.epoch == until
    resumed.run(VALIDATION, lambda: None)
    assert torch.equal(resumed.heads()["weight"], undisturbed.heads()["weight"])
    assert torch.equal(resumed.heads()["bias"], undisturbed.heads()["bias"])
    assert torch.equal(resumed.curves, undisturbed.curves)
    assert torch.equal(resumed.best_epoch, undisturbed.best_epoch)


def test_a_saved_state_is_a_snapshot():
    run = train(MEMBERS, until=2)
    saved = run.state()
    before = copy.deepcopy(saved["stack"]["weight"])
    run.run(VALIDATION, lambda: None)
    assert torch.equal(saved["stack"]["weight"], before)


def test_a_diverged_member_is_marked_and_harms_no_other():
    wild = training(lr=1e38, epochs=8, optimizer="sgd")
    run = train([MEMBERS[0], wild])
    assert run.diverged_at[0] == 0
    assert 1 <= run.diverged_at[1] <= 8
    assert run.heads()["weight"][1, 1].isnan().all()  # a diverged head predicts nothing
    if run.best_epoch[1] == 0:
        assert run.heads()["weight"][1, 0].isnan().all()
    alone = train([MEMBERS[0]])
    assert (run.heads()["weight"][0] - alone.heads()["weight"][0]).abs().max() < TOLERANCE


def test_the_best_epoch_is_the_one_of_least_validation_loss():
    run = train(MEMBERS)
    for i in range(len(MEMBERS)):
        assert run.best_epoch[i] == run.curves[i, :, 2].argmin() + 1
    by_accuracy = StackRun(MEMBERS, 3, "validation_accuracy", TRAIN, CLASSES, 0.0)
    by_accuracy.run(VALIDATION, lambda: None)
    for i in range(len(MEMBERS)):
        assert by_accuracy.best_epoch[i] == by_accuracy.curves[i, :, 3].argmax() + 1


def test_a_stack_shares_its_batches():
    with pytest.raises(ValueError, match="shares its batch size"):
        StackRun([training(), training(batch_size=64)], 0, "validation_loss", TRAIN, CLASSES, 0.0)
