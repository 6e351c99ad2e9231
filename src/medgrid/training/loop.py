"""Train one stack of heads over its epochs, from any point at which it was stopped."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from medgrid.config import Training
from medgrid.training import CURVES
from medgrid.training.heads import HeadStack, losses

# one stream of random numbers per purpose, so that adding a consumer does not move the others
STREAMS = {"initial": 0, "order": 1, "dropout": 2}


@dataclass(frozen=True)
class Part:
    """Features [n, D] and labels [n] of one part of a split, on the training device."""

    features: torch.Tensor
    labels: torch.Tensor


def generator(seed: int, stream: str) -> torch.Generator:
    """A CPU generator for one purpose of one replicate: the same numbers on every device."""
    state = np.random.SeedSequence([seed, STREAMS[stream]]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


@torch.no_grad()
def measure(stack: HeadStack, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss and accuracy of every member over a whole part, dropout off: two tensors [M]."""
    logits = stack.logits(part.features)
    loss = losses(logits, part.labels).mean(0)
    accuracy = (logits.argmax(2) == part.labels[:, None]).float().mean(0)
    return loss, accuracy


class StackRun:
    """A stack of heads that share features, batch size and seed, with its curves and best epochs so far.

    The epoch's curves are measured after its last step, over the whole part and without dropout, so that the
    train and the validation curve describe the same weights.
    """

    def __init__(self, members: list[Training], seed: int, select: str, train: Part, classes: int, dropout: float):
        first = members[0]
        if {(member.batch_size, member.epochs) for member in members} != {(first.batch_size, first.epochs)}:
            raise ValueError("a stack shares its batch size and epochs")
        self.batch_size, self.epochs, self.select = first.batch_size, first.epochs, select
        self.train = train
        device = train.features.device
        self.stack = HeadStack(members, train.features.shape[1], classes, dropout, generator(seed, "initial"), device)
        self.generators = {name: generator(seed, name) for name in ("order", "dropout")}
        count = len(members)
        self.epoch = 0
        self.curves = torch.full((count, self.epochs, len(CURVES)), float("nan"))
        self.best_score = torch.full((count,), float("inf"), device=device)
        self.best_epoch = torch.zeros(count, dtype=torch.long)  # 0: none yet
        self.best_weight, self.best_bias = (
            self.stack.weight.detach().clone(),
            self.stack.bias.detach().clone(),
        )
        self.diverged_at = torch.zeros(count, dtype=torch.long)  # 0: never

    def run(self, validation: Part, after_epoch: Callable[[], None]) -> None:
        """Train the epochs that are left; `after_epoch` is called at each point where the run may be saved."""
        while self.epoch < self.epochs:
            order = torch.randperm(len(self.train.labels), generator=self.generators["order"])
            for rows in order.to(self.train.labels.device).split(self.batch_size):
                self.stack.step(self.train.features[rows], self.train.labels[rows], self.generators["dropout"])
            self._note_epoch(validation)
            after_epoch()

    def _note_epoch(self, validation: Part) -> None:
        train_loss, train_accuracy = measure(self.stack, self.train)
        loss, accuracy = measure(self.stack, validation)
        self.curves[:, self.epoch] = torch.stack([train_loss, train_accuracy, loss, accuracy], 1).cpu()
        self.epoch += 1
        failed = (~(train_loss.isfinite() & loss.isfinite())).cpu()
        self.diverged_at[failed & (self.diverged_at == 0)] = self.epoch
        # smaller is better; a comparison with NaN is false, so a diverged epoch is never the best
        score = loss if self.select == "validation_loss" else -accuracy
        better = (score < self.best_score) & loss.isfinite()
        self.best_score = torch.where(better, score, self.best_score)
        self.best_epoch[better.cpu()] = self.epoch
        self.best_weight = torch.where(better[:, None, None], self.stack.weight.detach(), self.best_weight)
        self.best_bias = torch.where(better[:, None], self.stack.bias.detach(), self.best_bias)

    def heads(self) -> dict[str, torch.Tensor]:
        """Weights [M, 2, C, D] and biases [M, 2, C]: the best and the last epoch of every member.

        NaN where there is none: the best of a member that diverged at once, the last of one that diverged.
        """
        never = (self.best_epoch == 0).to(self.best_weight.device)
        lost = (self.diverged_at > 0).to(self.best_weight.device)
        nan = float("nan")
        best = (
            self.best_weight.masked_fill(never[:, None, None], nan),
            self.best_bias.masked_fill(never[:, None], nan),
        )
        last = self.stack.weight.detach(), self.stack.bias.detach()
        last = last[0].masked_fill(lost[:, None, None], nan), last[1].masked_fill(lost[:, None], nan)
        return {
            "weight": torch.stack([best[0], last[0]], 1),
            "bias": torch.stack([best[1], last[1]], 1),
        }

    def state(self) -> dict:
        own = ("epoch", "curves", "best_score", "best_epoch", "best_weight", "best_bias", "diverged_at")
        return {
            "stack": self.stack.state(),
            "generators": {name: each.get_state() for name, each in self.generators.items()},
            **{name: getattr(self, name) for name in own},
        }

    def restore(self, state: dict) -> None:
        self.stack.restore(state.pop("stack"))
        for name, saved in state.pop("generators").items():
            self.generators[name].set_state(saved)
        for name, value in state.items():
            setattr(self, name, value)
