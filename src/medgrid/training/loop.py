"""The training loop of one learner (a stack or a whole network), which can be saved and resumed after each epoch."""

import time
from collections.abc import Callable, Iterator

import torch

from medgrid.config import Training
from medgrid.config.metrics import CURVES
from medgrid.models.augment import augmentation_generators
from medgrid.models.random_streams import seeded_generator
from medgrid.training.data import Part
from medgrid.training.losses import losses, predicted, probabilities
from medgrid.training.schedules import Schedule
from medgrid.training.stacked import StackedMLP
from medgrid.training.whole_network import WholeNetwork

Learner = StackedMLP | WholeNetwork

# random streams of a replicate, by purpose; those of augmentation are named by operation
STREAMS = {"initial": 0, "order": 1, "dropout": 2, "views": 4}
# most numbers in a batch of an evaluation, and how many more a whole network computes of each number of its input
LARGEST, GROWTH = {"cpu": 1 << 24, "cuda": 1 << 28}, 8


def make_generators(seed: int) -> dict[str, torch.Generator]:
    """The random streams of a replicate, on the CPU."""
    streams = {name: seeded_generator(seed, number) for name, number in STREAMS.items()}
    return streams | augmentation_generators(seed)


def batches(part: Part, learner: Learner) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """A whole part in order, in batches that fit into memory: inputs, and indices within the part."""
    growth = GROWTH if isinstance(learner, WholeNetwork) else 1
    size = max(1, LARGEST[part.inputs.device.type] // (part.shape.numel() * growth))
    for indices in torch.arange(len(part), device=part.rows.device).split(size):
        yield part.batch(indices), indices


@torch.no_grad()
def measure(learner: Learner, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss (without penalty) and accuracy of every member over a whole part, without dropout: [M] each."""
    loss = correct = torch.zeros(())
    for inputs, indices in batches(part, learner):
        logits, labels = learner.logits(inputs), part.labels[indices]
        loss = loss + losses(logits, labels).sum(0)
        correct = correct + (predicted(logits) == labels[:, None]).sum(0)
    return loss / len(part), correct / len(part)


@torch.no_grad()
def predict(learner: Learner, part: Part) -> torch.Tensor:
    """Probabilities [M, n, classes] on the CPU."""
    blocks = [probabilities(learner.logits(inputs)).cpu() for inputs, _ in batches(part, learner)]
    return torch.cat(blocks).transpose(0, 1)


def _copies(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}


class Run:
    """The epochs of a learner: curves, best epochs, learning rates, early stopping.

    Validation is measured after an epoch's last step, over the whole part. With `measured`, the training loss and
    accuracy are measured in the same way, which takes little time if inputs are cached features. Otherwise they are
    the mean over the epoch's batches, with augmentation and dropout, as Keras and most PyTorch scripts report them.
    """

    # what a checkpoint holds besides the learner, its schedules and its random streams
    RECORDS = ("epoch", "seconds", "curves", "best_score", "best_epoch", "diverged_at", "ended_at", "best", "last")

    def __init__(
        self,
        learner: Learner,
        members: list[Training],
        generators: dict[str, torch.Generator],
        select: str,
        train: Part,
        measured: bool,
    ):
        """`select`: validation_loss or validation_accuracy, which decides on the best epoch.

        Raises ValueError when the members differ in batch size or number of epochs.
        """
        first = members[0]
        if {(member.batch_size, member.epochs) for member in members} != {(first.batch_size, first.epochs)}:
            raise ValueError("the members of a stack need the same batch size and number of epochs")
        self.learner, self.members, self.generators, self.select = learner, members, generators, select
        self.train, self.measured = train, measured
        self.batch_size, self.epochs = first.batch_size, first.epochs
        self.schedules = [Schedule(member) for member in members]
        count = len(members)
        self.epoch, self.seconds = 0, 0.0
        self.curves = torch.full((count, self.epochs, len(CURVES) + 1), float("nan"))  # the last: learning rate
        self.best_score = torch.full((count,), float("inf"))
        self.best_epoch = torch.zeros(count, dtype=torch.long)  # from 1; 0: none yet
        self.diverged_at = torch.zeros(count, dtype=torch.long)  # from 1; 0: never
        self.ended_at = torch.zeros(count, dtype=torch.long)  # from 1; 0: still training
        self.best = _copies(learner.weights())
        self.last: dict[str, torch.Tensor] = {}  # of members that ended before the others

    @property
    def finished(self) -> bool:
        return bool((self.ended_at > 0).all())

    def run(self, validation: Part, after_epoch: Callable[[], None]) -> None:
        """Train the remaining epochs; `after_epoch` is called after each of them, when the run may be saved."""
        while not self.finished:
            start = time.perf_counter()
            rates = [schedule.rate for schedule in self.schedules]
            self.learner.set_rates(rates)
            train = self._train_epoch()
            if self.measured:
                train = measure(self.learner, self.train)
            values = torch.stack([*train, *measure(self.learner, validation)], 1)
            with torch.no_grad():
                penalty = self.learner.penalty().float().cpu()
            self._record_epoch(values.float().cpu(), penalty, rates)
            self.seconds += time.perf_counter() - start
            after_epoch()

    def _train_epoch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass over the training part; mean loss and accuracy of its batches, [M] each."""
        device, views = self.train.rows.device, None
        order = torch.randperm(len(self.train), generator=self.generators["order"])
        if self.train.views:
            views = torch.randint(1, 1 + self.train.views, (len(self.train),), generator=self.generators["views"])
            views = views.to(device)
        loss = correct = torch.zeros(len(self.members), device=device)
        seen = 0
        for indices in order.to(device).split(self.batch_size):
            if len(indices) == 1 < self.batch_size and seen:
                continue  # BatchNorm cannot normalise a single image
            sums = self.learner.step(self.train.batch(indices, views), self.train.labels[indices])
            loss, correct, seen = loss + sums[0], correct + sums[1], seen + len(indices)
        return loss / seen, correct / seen

    def _record_epoch(self, values: torch.Tensor, penalty: torch.Tensor, rates: list[float]) -> None:
        """Take over an epoch's curves [M, 4] and penalties [M]; update best epochs, schedules and early stopping."""
        training = self.ended_at == 0
        self.curves[training, self.epoch, :-1] = values[training]
        self.curves[training, self.epoch, -1] = torch.tensor(rates)[training]
        self.epoch += 1
        train_loss, _, loss, accuracy = values.unbind(1)
        diverged = ~(train_loss.isfinite() & loss.isfinite())
        self.diverged_at[diverged & training & (self.diverged_at == 0)] = self.epoch
        # smaller is better; a comparison with NaN is false, so a diverged epoch is never the best
        score = loss + penalty if self.select == "validation_loss" else 1 - accuracy
        better = (score < self.best_score) & loss.isfinite() & training
        self.best_score = torch.where(better, score, self.best_score)
        self.best_epoch[better] = self.epoch
        self._copy_weights(self.best, better)
        for schedule, member_score in zip(self.schedules, score.tolist(), strict=True):
            schedule.after_epoch(member_score)
        self._end_members(training, diverged)

    def _end_members(self, training: torch.Tensor, diverged: torch.Tensor) -> None:
        """Stop members after their last epoch, by early stopping or after divergence; keep their weights."""
        patience = torch.tensor([member.patience for member in self.members])
        ended = training & (patience > 0) & (self.epoch - self.best_epoch >= patience)
        # one more epoch after the first that diverged: a loss may overflow once, weights that are not finite stay so
        ended |= training & diverged & (self.diverged_at > 0) & (self.diverged_at < self.epoch)
        if self.epoch == self.epochs:
            ended = training
        self.ended_at[ended] = self.epoch
        if ended.any() and not self.finished:
            if not self.last:
                self.last = _copies(self.learner.weights())
            self._copy_weights(self.last, ended)

    def _copy_weights(self, target: dict[str, torch.Tensor], members: torch.Tensor) -> None:
        """Copy the current weights of the `members` (a mask [M]) into `target`."""
        if members.any():
            for name, tensor in self.learner.weights().items():
                mask = members.to(tensor.device)
                target[name][mask] = tensor[mask]

    def results(self, parts: dict[str, Part]) -> dict[str, torch.Tensor | dict[str, torch.Tensor]]:
        """Results of a finished run, on the CPU, [M, ...] each.

        By the name of each part, probabilities [M, 2, n, classes] of the best and the last epoch; `penalty` [M, 2];
        `curves`, `best_epoch`, `diverged_at`, `ended_at`, `seconds`; and `weights`, those of the best epoch.
        Probabilities are NaN where there are none: at the best epoch of a member that diverged in the first, and at
        the last epoch of any that diverged.
        """
        last = _copies(self.learner.weights())
        if self.last:
            last = _copies(self.last)
            self._copy_weights(last, self.ended_at == self.epoch)
        by_checkpoint: dict[str, list[torch.Tensor]] = {name: [] for name in (*parts, "penalty")}
        for weights, invalid in ((self.best, self.best_epoch == 0), (last, self.diverged_at > 0)):
            self.learner.load(weights)
            for name, part in parts.items():
                part_probabilities = predict(self.learner, part)
                part_probabilities[invalid] = float("nan")
                by_checkpoint[name].append(part_probabilities)
            with torch.no_grad():
                by_checkpoint["penalty"].append(self.learner.penalty().cpu())
        results = {name: torch.stack(both, 1) for name, both in by_checkpoint.items()}
        results |= {name: getattr(self, name) for name in ("curves", "best_epoch", "diverged_at", "ended_at")}
        seconds = torch.full((len(self.members),), self.seconds / len(self.members))
        return results | {"seconds": seconds, "weights": {name: tensor.cpu() for name, tensor in self.best.items()}}

    def state(self) -> dict:
        """Everything that `restore` needs to continue to the same numbers."""
        return {
            "learner": self.learner.state(),
            "schedules": [schedule.state() for schedule in self.schedules],
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            **{name: getattr(self, name) for name in self.RECORDS},
        }

    def restore(self, state: dict) -> None:
        self.learner.restore(state["learner"])
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.restore(saved)
        for name, saved in state["generators"].items():
            self.generators[name].set_state(saved.cpu())  # generators are on the CPU for every device
        for name in self.RECORDS:
            value = state[name]
            # weights stay on the device that trains, records are on the CPU
            setattr(self, name, value.cpu() if torch.is_tensor(value) else value)
