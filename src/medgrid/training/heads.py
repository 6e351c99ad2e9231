"""Linear heads that see the same batches, stacked into one matrix and stepped by real torch optimizers."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from medgrid.config import Training

OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, fused=True),
    "adam": lambda groups: torch.optim.Adam(groups, fused=True),
    "sgd": lambda groups: torch.optim.SGD(groups, fused=True),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups),
}


class HeadStack:
    """M linear heads [D -> C] over the same features, differing in optimizer, rate, decay.

    One matrix product serves all members, forward and backward; each member's slice of the matrix is a
    parameter of its own to the optimizer. A stacked head follows the same path as the same head alone, but for
    the rounding of differently shaped matrix products.
    """

    def __init__(
        self,
        members: list[Training],
        features: int,
        classes: int,
        dropout: float,
        generator: torch.Generator,
        device: torch.device,
    ):
        self.dropout = dropout
        # torch's own initialisation of a linear layer; all members of a stack share the replicate's seed and
        # therefore start from the same head
        bound = 1 / math.sqrt(features)
        weight = torch.empty(classes, features).uniform_(-bound, bound, generator=generator)
        bias = torch.empty(classes).uniform_(-bound, bound, generator=generator)
        count = len(members)
        self.weight = weight.expand(count, -1, -1).clone().to(device).requires_grad_()
        self.bias = bias.expand(count, -1).clone().to(device).requires_grad_()
        self.optimizers = self._optimizers(members)

    def _optimizers(self, members: list[Training]) -> list[torch.optim.Optimizer]:
        groups: dict[str, list[dict]] = {}
        for tensor in (self.weight, self.bias):
            tensor.grad = torch.zeros_like(tensor)
        for i, member in enumerate(members):
            views = []
            for tensor in (self.weight, self.bias):
                view = nn.Parameter(tensor.detach()[i])
                view.grad = tensor.grad[i]
                views.append(view)
            group = {"params": views, "lr": member.lr, "weight_decay": member.weight_decay}
            if member.optimizer in ("sgd", "rmsprop"):
                group["momentum"] = member.momentum
            groups.setdefault(member.optimizer, []).append(group)
        return [OPTIMIZERS[name](listed) for name, listed in groups.items()]

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """[B, D] to [B, M, C]."""
        count, classes, _ = self.weight.shape
        return F.linear(features, self.weight.flatten(0, 1), self.bias.flatten()).view(-1, count, classes)

    def step(self, features: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> None:
        """One optimizer step of every member on one batch: features [B, D], labels [B]."""
        if self.dropout:
            features = drop(features, self.dropout, generator)
        # each member's loss touches its own slice only, so the gradient of the sum is every member's own
        losses(self.logits(features), labels).mean(0).sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        # in place: the optimizers' views point into these buffers
        self.weight.grad.zero_()
        self.bias.grad.zero_()

    def state(self) -> dict:
        return {
            "weight": self.weight.detach().clone(),
            "bias": self.bias.detach().clone(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict) -> None:
        with torch.no_grad():
            self.weight.copy_(state["weight"])
            self.bias.copy_(state["bias"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def drop(features: torch.Tensor, rate: float, generator: torch.Generator) -> torch.Tensor:
    """Dropout with random numbers of its own, drawn on the CPU: the same mask on every device."""
    kept = torch.rand(features.shape, generator=generator).ge_(rate).div_(1 - rate)
    return features * kept.to(features.device)


def losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy per image and member: logits [B, M, C], labels [B] to [B, M]."""
    members = labels[:, None].expand(-1, logits.shape[1])
    return F.cross_entropy(logits.transpose(1, 2), members, reduction="none")
