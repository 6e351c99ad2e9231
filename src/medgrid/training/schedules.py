"""The learning rate of a training, epoch by epoch."""

import torch
from torch.optim import lr_scheduler

from medgrid.config import Training


class Schedule:
    """A torch scheduler on an optimizer of its own, since the members of a stack share theirs."""

    def __init__(self, training: Training):
        optimizer = torch.optim.SGD([torch.zeros(1)], training.lr)
        # settings of studies have a step_size or milestones where their scheduler needs them
        step_size, milestones = training.step_size or 0, training.milestones or ()
        self.scheduler = {
            "none": lambda: lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0),
            "step": lambda: lr_scheduler.StepLR(optimizer, step_size, training.gamma),
            "multistep": lambda: lr_scheduler.MultiStepLR(optimizer, milestones, training.gamma),
            "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, training.epochs),
            "plateau": lambda: lr_scheduler.ReduceLROnPlateau(optimizer, "min", training.gamma, step_size),
        }[training.scheduler]()
        self.optimizer = optimizer

    @property
    def rate(self) -> float:
        """The learning rate of the next epoch."""
        return self.optimizer.param_groups[0]["lr"]

    def after_epoch(self, score: float) -> None:
        """Set the rate of the next epoch; `score` (smaller is better) is that of the epoch which has ended."""
        self.optimizer.step()  # without gradients it does nothing; schedulers warn when it was never called
        if isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(score)
        else:
            self.scheduler.step()

    def state(self) -> dict:
        return {"scheduler": self.scheduler.state_dict(), "rate": self.rate}

    def restore(self, state: dict) -> None:
        self.scheduler.load_state_dict(state["scheduler"])
        self.optimizer.param_groups[0]["lr"] = state["rate"]
