"""Stacked heads against single heads and plain PyTorch, and runs that are stopped and resumed."""

import contextlib
import copy
import io
import math

import pytest
import torch
from conftest import training
from torch import nn

from medgrid.config import Layer
from medgrid.training.data import Part
from medgrid.training.loop import Run, make_generators
from medgrid.training.losses import losses, predicted, probabilities
from medgrid.training.schedules import Schedule
from medgrid.training.stacked import StackedMLP, drop

CLASSES, FEATURES = 4, 48
# differently shaped matrix products round differently; over the epochs here, on weights of order 0.1
TOLERANCE = 2e-5
DEEP = [
    Layer(dense=24, activation="relu", batch_norm=True, dropout=0.2, l2=0.01),
    Layer(dense=12, activation="leaky_relu", l1=0.001),
]


def part(count: int, seed: int) -> Part:
    """Noisy, but learnable."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    centres = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(99))
    return Part(centres[labels] + 2 * torch.randn(count, FEATURES, generator=generator), torch.arange(count), labels)


TRAIN, VALIDATION = part(150, 0), part(70, 1)
MEMBERS = [
    training(lr=1e-3, epochs=8),
    training(lr=1e-2, epochs=8, weight_decay=0.1),
    training(lr=1e-2, epochs=8, optimizer="sgd", momentum=0.9),
    training(lr=1e-3, epochs=8, optimizer="rmsprop"),
    training(lr=3e-3, epochs=8, optimizer="adam"),
]


def start(members, seed=3, dropout=0.0, layers=(), select="validation_loss") -> Run:
    generators = make_generators(seed)
    stack = StackedMLP(members, list(layers), FEATURES, CLASSES, dropout, 1, generators, torch.device("cpu"))
    return Run(stack, members, generators, select, TRAIN, measured=True)


def train(members, until=None, **options) -> Run:
    run = start(members, **options)

    def after_epoch():
        if run.epoch == until:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        run.run(VALIDATION, after_epoch)
    return run


def difference(one: dict, i: int, other: dict, j: int) -> float:
    return max((one[name][i] - other[name][j]).abs().max().item() for name in one)


@pytest.mark.parametrize(("dropout", "layers"), [(0.0, []), (0.3, []), (0.2, DEEP)])
def test_stacked_equals_alone(dropout, layers):
    together = train(MEMBERS, dropout=dropout, layers=layers)
    for i, member in enumerate(MEMBERS):
        alone = train([member], dropout=dropout, layers=layers)
        # a deeper network passes small differences on
        factor = 20 if layers else 1
        assert difference(together.best, i, alone.best, 0) < factor * TOLERANCE, member
        assert (together.curves[i] - alone.curves[0]).abs().max() < 10 * factor * TOLERANCE
        assert together.best_epoch[i] == alone.best_epoch[0]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: f"{member.optimizer}-{member.lr}")
def test_a_head_is_plain_pytorch(member):
    """A head against `nn.Linear` with an optimizer and a loss of torch, on the same batches."""
    run = train([member])
    layer = nn.Linear(FEATURES, CLASSES)
    weights = start([member]).learner.weights()
    with torch.no_grad():
        layer.weight.copy_(weights["0.weight"][0])
        layer.bias.copy_(weights["0.bias"][0])
    optimizer = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=member.lr, weight_decay=member.weight_decay),
        "adam": lambda p: torch.optim.Adam(p, lr=member.lr, weight_decay=member.weight_decay),
        "sgd": lambda p: torch.optim.SGD(p, member.lr, member.momentum, weight_decay=member.weight_decay),
        "rmsprop": lambda p: torch.optim.RMSprop(p, member.lr, weight_decay=member.weight_decay),
    }[member.optimizer](layer.parameters())
    order = make_generators(3)["order"]
    for epoch in range(member.epochs):
        for rows in torch.randperm(len(TRAIN.labels), generator=order).split(member.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(TRAIN.inputs[rows]), TRAIN.labels[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            logits = layer(VALIDATION.inputs)
            loss = nn.functional.cross_entropy(logits, VALIDATION.labels)
            accuracy = (logits.argmax(1) == VALIDATION.labels).float().mean()
        assert abs(run.curves[0, epoch, 2] - loss) < 10 * TOLERANCE
        assert abs(run.curves[0, epoch, 3] - accuracy) < 1e-6
    assert (run.learner.weights()["0.weight"][0] - layer.weight).abs().max() < TOLERANCE


def test_dropout_keeps_the_mean():
    features = drop(torch.ones(64, 10_000), 0.25, make_generators(0)["dropout"])
    assert abs((features == 0).float().mean() - 0.25) < 0.005
    assert torch.equal(features.unique(), torch.tensor([0.0, 1 / 0.75]))


def test_dropout_is_for_training_only():
    stack = start([training()], dropout=0.25).learner
    by_hand = TRAIN.inputs @ stack.tensors["0.weight"][0].T + stack.tensors["0.bias"][0]
    assert torch.allclose(stack.logits(TRAIN.inputs)[:, 0], by_hand, atol=1e-5)


def test_the_seed_determines_the_weights():
    one, same, other = train(MEMBERS), train(MEMBERS), train(MEMBERS, seed=4)
    assert torch.equal(one.best["0.weight"], same.best["0.weight"])
    assert not torch.equal(one.best["0.weight"], other.best["0.weight"])


def test_dropout_does_not_change_the_order_of_batches(monkeypatch):
    seen = []

    def step(stack, inputs, labels):
        seen.append(labels)
        return torch.zeros(len(MEMBERS)), torch.zeros(len(MEMBERS))

    monkeypatch.setattr(StackedMLP, "step", step)
    for dropout in (0.0, 0.5):
        run = start(MEMBERS, dropout=dropout)
        drop(TRAIN.inputs, 0.5, run.generators["dropout"])
        run.run(VALIDATION, lambda: None)
    half = len(seen) // 2
    assert half > MEMBERS[0].epochs
    assert torch.equal(torch.cat(seen[:half]), torch.cat(seen[half:]))


SCHEDULED = [
    training(lr=1e-2, epochs=8),
    training(lr=1e-2, epochs=8, scheduler="step", step_size=2),
    training(lr=1e-2, epochs=8, scheduler="multistep", milestones=(3, 6)),
    training(lr=1e-2, epochs=8, scheduler="cosine"),
    training(lr=1e-2, epochs=8, scheduler="plateau", step_size=1, patience=4),
]


@pytest.mark.parametrize("until", [1, 5])
@pytest.mark.parametrize("layers", [[], DEEP])
def test_a_stopped_run_ends_with_the_same_bits(until, layers):
    members = [*MEMBERS, *SCHEDULED]
    uninterrupted = train(members, dropout=0.2, layers=layers)
    stopped = train(members, dropout=0.2, layers=layers, until=until)
    saved = io.BytesIO()
    torch.save(stopped.state(), saved)
    saved.seek(0)
    resumed = start(members, dropout=0.2, layers=layers)
    resumed.restore(torch.load(saved, weights_only=True))
    assert resumed.epoch == until
    resumed.run(VALIDATION, lambda: None)
    parts = {"validation": VALIDATION}
    ours, theirs = resumed.results(parts), uninterrupted.results(parts)
    for name in ("validation", "curves", "best_epoch", "ended_at", "penalty"):
        assert torch.equal(ours[name].nan_to_num(-1), theirs[name].nan_to_num(-1)), name
    assert difference(ours["weights"], slice(None), theirs["weights"], slice(None)) == 0


def test_a_saved_state_is_a_snapshot():
    run = train(MEMBERS, until=2)
    saved = run.state()
    before = copy.deepcopy(saved["learner"]["weights"]["0.weight"])
    run.run(VALIDATION, lambda: None)
    assert torch.equal(saved["learner"]["weights"]["0.weight"], before)


def test_a_diverged_member_is_marked_and_does_not_affect_others():
    diverging = training(lr=1e38, epochs=8, optimizer="sgd")
    run = train([MEMBERS[0], diverging])
    assert run.diverged_at[0] == 0
    assert 1 <= run.diverged_at[1] <= 8
    predictions = run.results({"validation": VALIDATION})["validation"]
    assert predictions[1, 1].isnan().all()  # the last epoch of a diverged member predicts nothing
    if run.best_epoch[1] == 0:
        assert predictions[1, 0].isnan().all()
    assert predictions[0].isfinite().all()
    assert difference(run.best, 0, train([MEMBERS[0]]).best, 0) < TOLERANCE


def test_the_best_epoch_has_the_lowest_validation_loss():
    run = train(MEMBERS)
    for i in range(len(MEMBERS)):
        assert run.best_epoch[i] == run.curves[i, :, 2].argmin() + 1
    by_accuracy = train(MEMBERS, select="validation_accuracy")
    for i in range(len(MEMBERS)):
        assert by_accuracy.best_epoch[i] == by_accuracy.curves[i, :, 3].argmax() + 1


def test_a_member_that_ends_early_ends_as_if_alone():
    """Early stopping ends one member of a stack while others train on; its curves and weights do not change."""
    impatient = training(lr=0.3, epochs=30, patience=3)
    slow = training(lr=1e-4, epochs=30)
    together, alone = train([impatient, slow]), train([impatient])
    assert alone.ended_at[0] == alone.best_epoch[0] + 3 < 30
    assert together.ended_at.tolist() == [alone.ended_at[0], 30]
    assert together.curves[0, alone.ended_at[0] :].isnan().all()
    parts = {"validation": VALIDATION}
    ours, theirs = together.results(parts)["validation"][0], alone.results(parts)["validation"][0]
    assert (ours - theirs).abs().max() < 1e-3
    assert not torch.equal(ours[0], ours[1])


def test_rates_follow_torch_s_schedulers():
    rates = {member.scheduler: run for member, run in zip(SCHEDULED, train(SCHEDULED).curves[:, :, -1], strict=True)}
    assert rates["none"].tolist() == pytest.approx([1e-2] * 8)
    assert rates["step"].tolist() == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    assert rates["multistep"].tolist() == pytest.approx([1e-2] * 3 + [1e-3] * 3 + [1e-4] * 2)
    halves = [1e-2 * (1 + math.cos(math.pi * epoch / 8)) / 2 for epoch in range(8)]
    assert rates["cosine"].tolist() == pytest.approx(halves)


def test_a_plateau_lowers_the_rate():
    """With a loss that only rises, the rate is lowered after every second epoch."""
    schedule = Schedule(training(lr=1.0, scheduler="plateau", step_size=1, epochs=9))
    rates = []
    for epoch in range(6):
        rates.append(schedule.rate)
        schedule.after_epoch(float(epoch))
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])


def test_a_plateau_of_the_accuracy_lowers_the_rate_too():
    """A constant accuracy is no improvement."""
    member = training(lr=1e-6, epochs=6, scheduler="plateau", step_size=1, optimizer="sgd")
    run = train([member], select="validation_accuracy")
    assert run.curves[0, :, -1].tolist() == pytest.approx([1e-6, 1e-6, 1e-6, 1e-7, 1e-7, 1e-8])


def test_the_best_epoch_counts_the_penalty_as_keras_does():
    """The score includes the penalty, the curve does not."""
    strong = [Layer(dense=24, activation="relu", l2=0.5)]
    member = training(lr=1e-2, epochs=20)
    without, with_penalty = (
        train([member], layers=[Layer(dense=24, activation="relu")]),
        train([member], layers=strong),
    )
    score = with_penalty.best_score[0]
    loss = with_penalty.curves[0, with_penalty.best_epoch[0] - 1, 2]
    assert score > loss + 0.01
    assert without.best_score[0] == without.curves[0, without.best_epoch[0] - 1, 2]


def test_one_logit_is_binary_cross_entropy():
    logits, labels = torch.randn(50, 3, 1), torch.randint(0, 2, (50,))
    two = torch.cat([torch.zeros_like(logits), logits], 2)
    assert torch.allclose(losses(logits, labels), losses(two, labels), atol=1e-6)
    assert torch.equal(predicted(logits), predicted(two))
    assert torch.allclose(probabilities(logits), probabilities(two), atol=1e-6)


def test_each_epoch_draws_views(monkeypatch):
    """Training uses the augmented views, others in each epoch; validation uses the original images."""
    views = torch.stack([torch.full((150, FEATURES), float(view)) for view in range(5)])
    part = Part(views, TRAIN.rows, TRAIN.labels, views=4)
    seen = []
    step = StackedMLP.step

    def recorded_step(stack, inputs, labels):
        seen.append(inputs[:, 0])
        return step(stack, inputs, labels)

    monkeypatch.setattr(StackedMLP, "step", recorded_step)
    generators = make_generators(0)
    members = [training(epochs=6)]
    stack = StackedMLP(members, [], FEATURES, CLASSES, 0.0, 1, generators, torch.device("cpu"))
    Run(stack, members, generators, "validation_loss", part, measured=False).run(VALIDATION, lambda: None)
    drawn = torch.cat(seen)
    assert set(drawn.tolist()) == {1.0, 2.0, 3.0, 4.0}
    shares = torch.histc(drawn, 4, 1, 4) / len(drawn)
    assert (shares - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / len(drawn))
    assert torch.equal(part.batch(torch.arange(3)), views[0, :3])


def test_a_stack_shares_its_batches():
    with pytest.raises(ValueError, match="same batch size"):
        start([training(), training(batch_size=64)])
