"""torch's own optimizers and schedulers, by name."""

import torch

from medgrid.config import Training

OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, fused=True),
    "adam": lambda groups: torch.optim.Adam(groups, fused=True),
    "sgd": lambda groups: torch.optim.SGD(groups, fused=True),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups),
}
# a parameter of no meaning, for a scheduler to act on
_NOTHING = torch.zeros(1)


def group(training: Training, parameters: list[torch.Tensor]) -> dict:
    """A parameter group with the training's own settings."""
    settings = {"params": parameters, "lr": training.lr, "weight_decay": training.weight_decay}
    if training.optimizer in ("sgd", "rmsprop"):
        settings["momentum"] = training.momentum
    return settings


class Schedule:
    """A training's learning rate, epoch by epoch: a torch scheduler on an optimizer of its own."""

    def __init__(self, training: Training):
        optimizer = torch.optim.SGD([_NOTHING.clone()], training.lr)
        schedulers = torch.optim.lr_scheduler
        self.by_score = training.scheduler == "plateau"
        self.scheduler = {
            "none": lambda: schedulers.LambdaLR(optimizer, lambda epoch: 1.0),
            "step": lambda: schedulers.StepLR(optimizer, training.step_size, training.gamma),
            "multistep": lambda: schedulers.MultiStepLR(optimizer, training.milestones, training.gamma),
            "cosine": lambda: schedulers.CosineAnnealingLR(optimizer, training.epochs),
            "plateau": lambda: schedulers.ReduceLROnPlateau(optimizer, "min", training.gamma, training.step_size),
        }[training.scheduler]()
        self.optimizer = optimizer

    @property
    def rate(self) -> float:
        """The rate for the epoch to come."""
        return self.optimizer.param_groups[0]["lr"]

    def after_epoch(self, score: float) -> None:
        """Go on to the next epoch; `score` (smaller is better) is the epoch's own."""
        self.optimizer.step()  # of nothing: schedulers warn when they come first
        self.scheduler.step(score) if self.by_score else self.scheduler.step()

    def state(self) -> dict:
        return {"scheduler": self.scheduler.state_dict(), "rate": self.rate}

    def restore(self, state: dict) -> None:
        self.scheduler.load_state_dict(state["scheduler"])
        self.optimizer.param_groups[0]["lr"] = state["rate"]
