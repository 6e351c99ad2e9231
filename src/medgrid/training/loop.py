"""Train one learner over its epochs, from any point at which it was stopped."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from medgrid.config import Training
from medgrid.training import CURVES
from medgrid.training.data import Part
from medgrid.training.losses import losses, predicted, probabilities
from medgrid.training.optimizers import Schedule
from medgrid.training.stacked import StackedMLP
from medgrid.training.whole_network import WholeNetwork

# one stream of random numbers per purpose, so that adding a consumer does not move the others
STREAMS = {"initial": 0, "order": 1, "dropout": 2, "augmentation": 3, "views": 4}
# numbers that one batch of an evaluation may hold, and how many a whole network makes of one of its inputs
LARGEST, GROWTH = {"cpu": 1 << 24, "cuda": 1 << 28}, 8


def generator(seed: int, stream: str) -> torch.Generator:
    """A CPU generator for one purpose of one replicate: the same numbers on every device."""
    state = np.random.SeedSequence([seed, STREAMS[stream]]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def make_generators(seed: int) -> dict[str, torch.Generator]:
    return {stream: generator(seed, stream) for stream in STREAMS}


def batches(part: Part, learner: StackedMLP | WholeNetwork) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """A whole part in order, in pieces that fit: inputs, and places within the part."""
    one = part.inputs[0, 0] if part.views else part.inputs[0]
    size = max(1, LARGEST[one.device.type] // (one.numel() * (GROWTH if isinstance(learner, WholeNetwork) else 1)))
    for indices in torch.arange(len(part), device=part.rows.device).split(size):
        yield part.batch(indices), indices


@torch.no_grad()
def measure(learner: StackedMLP | WholeNetwork, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss (without penalty) and accuracy of every member over a whole part, dropout off: two tensors [M]."""
    loss = right = 0.0
    for inputs, indices in batches(part, learner):
        logits, labels = learner.logits(inputs), part.labels[indices]
        loss = loss + losses(logits, labels).sum(0)
        right = right + (predicted(logits) == labels[:, None]).sum(0)
    return loss / len(part), right / len(part)


@torch.no_grad()
def predict(learner: StackedMLP | WholeNetwork, part: Part) -> torch.Tensor:
    """Probabilities [M, n, classes] on the CPU."""
    return torch.cat([probabilities(learner.logits(inputs)).cpu() for inputs, _ in batches(part, learner)]).transpose(
        0, 1
    )


class Run:
    """A learner's way through its epochs: curves, best epochs, rates, early ends.

    Validation is measured after an epoch's last step, over the whole part. The training curve is measured in the same
    way where inputs are cached features and that is nearly free; elsewhere it is the mean over the epoch's
    batches as they were trained on, augmented and with dropout, as Keras and plain scripts report it.
    """

    def __init__(
        self,
        learner: StackedMLP | WholeNetwork,
        members: list[Training],
        generators: dict[str, torch.Generator],
        select: str,
        train: Part,
        measured: bool,
    ):
        first = members[0]
        if {(member.batch_size, member.epochs) for member in members} != {(first.batch_size, first.epochs)}:
            raise ValueError("a stack shares its batch size and epochs")
        self.learner, self.members, self.generators, self.select = learner, members, generators, select
        self.train, self.measured = train, measured
        self.batch_size, self.epochs = first.batch_size, first.epochs
        self.schedules = [Schedule(member) for member in members]
        count = len(members)
        self.epoch, self.seconds = 0, 0.0
        self.curves = torch.full((count, self.epochs, len(CURVES) + 1), float("nan"))  # the last: the rate
        self.best_score = torch.full((count,), float("inf"))
        self.best_epoch = torch.zeros(count, dtype=torch.long)  # 0: none yet
        self.diverged_at = torch.zeros(count, dtype=torch.long)  # 0: never
        self.ended_at = torch.zeros(count, dtype=torch.long)  # 0: still training
        self.best = {name: tensor.clone() for name, tensor in learner.weights().items()}
        self.last: dict[str, torch.Tensor] = {}  # of members that ended early, while others go on

    @property
    def finished(self) -> bool:
        return bool((self.ended_at > 0).all())

    def run(self, validation: Part, after_epoch: Callable[[], None]) -> None:
        """Train the epochs that are left; `after_epoch` is called at each point where the run may be saved."""
        while not self.finished:
            began = time.perf_counter()
            rates = [schedule.rate for schedule in self.schedules]
            self.learner.set_rates(rates)
            device = self.train.rows.device
            order = torch.randperm(len(self.train), generator=self.generators["order"])
            views = None
            if self.train.views:
                views = torch.randint(1, 1 + self.train.views, (len(self.train),), generator=self.generators["views"])
                views = views.to(device)
            loss = right = torch.zeros(len(self.members), device=device)
            seen = 0
            for indices in order.to(device).split(self.batch_size):
                if len(indices) == 1 < self.batch_size and seen:
                    continue  # a last image alone: BatchNorm has no deviation over it
                sums = self.learner.step(self.train.batch(indices, views), self.train.labels[indices])
                loss, right, seen = loss + sums[0], right + sums[1], seen + len(indices)
            if self.measured:
                loss, right = measure(self.learner, self.train)
            else:
                loss, right = loss / seen, right / seen
            measured = torch.stack([loss, right, *measure(self.learner, validation)], 1)
            with torch.no_grad():
                penalty = self.learner.penalty().float().cpu()
            self._note_epoch(measured.float().cpu(), penalty, rates)
            self.seconds += time.perf_counter() - began
            after_epoch()

    def _note_epoch(self, measured: torch.Tensor, penalty: torch.Tensor, rates: list[float]) -> None:
        going = self.ended_at == 0
        self.curves[going, self.epoch, :-1] = measured[going]
        self.curves[going, self.epoch, -1] = torch.tensor(rates)[going]
        self.epoch += 1
        train_loss, _, loss, accuracy = measured.unbind(1)
        failed = ~(train_loss.isfinite() & loss.isfinite())
        self.diverged_at[failed & going & (self.diverged_at == 0)] = self.epoch
        # smaller is better; a comparison with NaN is false, so a diverged epoch is never the best
        score = loss + penalty if self.select == "validation_loss" else 1 - accuracy
        better = (score < self.best_score) & loss.isfinite() & going
        self.best_score = torch.where(better, score, self.best_score)
        self.best_epoch[better] = self.epoch
        self._keep(self.best, better)
        for schedule, own in zip(self.schedules, score.tolist(), strict=True):
            schedule.after_epoch(own)
        patience = torch.tensor([member.patience for member in self.members])
        ended = going & (patience > 0) & (self.epoch - self.best_epoch >= patience)
        # weights that are not finite stay so; one epoch of grace, for a loss that only overflowed
        ended |= going & failed & (self.diverged_at > 0) & (self.diverged_at < self.epoch)
        if self.epoch == self.epochs:
            ended = going
        self.ended_at[ended] = self.epoch
        if ended.any() and not self.finished:
            if not self.last:
                self.last = {name: tensor.clone() for name, tensor in self.learner.weights().items()}
            self._keep(self.last, ended)

    def _keep(self, kept: dict[str, torch.Tensor], chosen: torch.Tensor) -> None:
        if chosen.any():
            for name, tensor in self.learner.weights().items():
                indices = chosen.to(tensor.device)
                kept[name][indices] = tensor[indices]

    def results(self, parts: dict[str, Part]) -> dict[str, torch.Tensor | dict[str, torch.Tensor]]:
        """What remains of the run, on the CPU, [M, ...] each: predictions of the best and the last epoch, penalties,
        curves, and the best weights.

        Probabilities are NaN where there are none: the best of a member that diverged at once, the last of one that
        diverged.
        """
        current = {name: tensor.clone() for name, tensor in self.learner.weights().items()}
        if self.last:
            current = {name: tensor.clone() for name, tensor in self.last.items()}
            self._keep(current, self.ended_at == self.epoch)
        made: dict[str, list[torch.Tensor]] = {name: [] for name in (*parts, "penalty")}
        for weights, invalid in ((self.best, self.best_epoch == 0), (current, self.diverged_at > 0)):
            self.learner.load(weights)
            for name, part in parts.items():
                probabilities = predict(self.learner, part)
                probabilities[invalid] = float("nan")
                made[name].append(probabilities)
            with torch.no_grad():
                made["penalty"].append(self.learner.penalty().cpu())
        own = {name: getattr(self, name) for name in ("curves", "best_epoch", "diverged_at", "ended_at")}
        seconds = torch.full((len(self.members),), self.seconds / len(self.members))
        own |= {"seconds": seconds, "weights": {name: tensor.cpu() for name, tensor in self.best.items()}}
        return {name: torch.stack(both, 1) for name, both in made.items()} | own

    def state(self) -> dict:
        own = ("epoch", "seconds", "curves", "best_score", "best_epoch", "diverged_at", "ended_at", "best", "last")
        return {
            "learner": self.learner.state(),
            "schedules": [schedule.state() for schedule in self.schedules],
            "generators": {name: each.get_state() for name, each in self.generators.items()},
            **{name: getattr(self, name) for name in own},
        }

    def restore(self, state: dict) -> None:
        state = dict(state)
        self.learner.restore(state.pop("learner"))
        for schedule, saved in zip(self.schedules, state.pop("schedules"), strict=True):
            schedule.restore(saved)
        for name, saved in state.pop("generators").items():
            self.generators[name].set_state(saved.cpu())  # generators live on the CPU whatever the device
        for name, value in state.items():
            # weights lie where they train, records on the CPU
            setattr(self, name, value.cpu() if torch.is_tensor(value) else value)
