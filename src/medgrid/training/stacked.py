"""Dense networks that see the same batches, stacked into one set of matrices and stepped by real torch optimizers."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from medgrid.config import Layer, Training
from medgrid.models.backbones import normalising
from medgrid.models.layers import ACTIVATIONS, penalty
from medgrid.models.networks import to_float
from medgrid.training.losses import losses, predicted
from medgrid.training.optimizers import OPTIMIZERS, group


class StackedMLP:
    """M dense networks [D -> outputs] over the same inputs, differing in optimizer, rate, decay or scheduler.

    One matrix product a layer serves all members, forward and backward; each member's slice of a matrix is a
    parameter of its own to the optimizer. A stacked network follows the same path as the same network alone, but
    for the rounding of differently shaped matrix products. Inputs are float [B, D], or uint8 pixels, which are
    normalised.
    """

    def __init__(
        self,
        members: list[Training],
        layers: list[Layer],
        inputs: int,
        outputs: int,
        dropout: float,
        channels: int,
        generators: dict[str, torch.Generator],
        device: torch.device,
    ):
        """`dropout` is the rate on the inputs; `generators` are named initial and dropout."""
        self.members, self.dropout, self.generator = len(members), dropout, generators["dropout"]
        self.layers = layers
        scale, shift = (value.to(device) for value in normalising(members[0].normalisation, channels))
        self.scale, self.shift = scale, shift
        self.tensors: dict[str, torch.Tensor] = {}  # [M, ...] each
        self.buffers: dict[str, torch.Tensor] = {}
        self.activations = [ACTIVATIONS[layer.activation]() if layer.activation else None for layer in self.layers]
        for i, layer in enumerate([*self.layers, Layer(dense=outputs)]):
            if layer.dense:
                # torch's own initialisation of a linear layer; all members of a stack share the replicate's seed and
                # therefore start from the same weights
                bound = 1 / math.sqrt(inputs)
                for name, shape in ((f"{i}.weight", (layer.dense, inputs)), (f"{i}.bias", (layer.dense,))):
                    drawn = torch.empty(shape).uniform_(-bound, bound, generator=generators["initial"])
                    self._add(name, drawn.to(device))
                inputs = layer.dense
            if layer.batch_norm:
                self._add(f"{i}.norm_weight", torch.ones(inputs, device=device))
                self._add(f"{i}.norm_bias", torch.zeros(inputs, device=device))
                self.buffers[f"{i}.mean"] = torch.zeros(self.members, inputs, device=device)
                self.buffers[f"{i}.var"] = torch.ones(self.members, inputs, device=device)
        self.output = str(len(self.layers))
        self.views = [
            {name: nn.Parameter(tensor.detach()[i]) for name, tensor in self.tensors.items()}
            for i in range(self.members)
        ]
        # positions of the members by optimizer: one optimizer steps all members that use it, a group for each
        self.indices: dict[str, list[int]] = {}
        for i, member in enumerate(members):
            self.indices.setdefault(member.optimizer, []).append(i)
        self.optimizers = {
            name: OPTIMIZERS[name]([group(members[i], list(self.views[i].values())) for i in indices])
            for name, indices in self.indices.items()
        }

    def _add(self, name: str, alone: torch.Tensor) -> None:
        self.tensors[name] = alone.expand(self.members, *alone.shape).clone().requires_grad_()

    def _dense(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """[B, D] shared by all, or [B, M, D], to [B, M, units]."""
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        if inputs.dim() == 2:
            return F.linear(inputs, weight.flatten(0, 1), bias.flatten()).view(len(inputs), *weight.shape[:2])
        return torch.baddbmm(bias[:, None], inputs.transpose(0, 1), weight.transpose(1, 2)).transpose(0, 1)

    def _forward(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        if not inputs.is_floating_point():
            inputs = (to_float(inputs) * self.scale + self.shift).flatten(1)
        if training and self.dropout:
            inputs = drop(inputs, self.dropout, self.generator)
        for i, (layer, activation) in enumerate(zip(self.layers, self.activations, strict=True)):
            if layer.dense:
                inputs = self._dense(str(i), inputs)
            if activation:
                inputs = activation(inputs)
            if layer.batch_norm:
                wide = inputs if inputs.dim() == 3 else inputs[:, None].expand(-1, self.members, -1)
                mean, var = self.buffers[f"{i}.mean"], self.buffers[f"{i}.var"]
                weight, bias = self.tensors[f"{i}.norm_weight"], self.tensors[f"{i}.norm_bias"]
                flat = [each.flatten() for each in (mean, var, weight, bias)]
                # flat views of the running statistics: batch_norm writes through them
                inputs = F.batch_norm(wide.flatten(1), *flat, training).view(wide.shape)
            if training and layer.dropout:
                inputs = drop(inputs, layer.dropout, self.generator)
        return self._dense(self.output, inputs)

    @torch.no_grad()
    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """[B, D] to [B, M, outputs], dropout off, BatchNorm by its running statistics."""
        return self._forward(inputs, training=False)

    def penalty(self) -> torch.Tensor:
        """L1 and L2 penalties [M] of the layers that have them."""
        total = next(iter(self.tensors.values())).new_zeros(self.members)
        for i, layer in enumerate(self.layers):
            if layer.l1 or layer.l2:
                total = total + penalty(self.tensors[f"{i}.weight"], layer.l1, layer.l2)
        return total

    def step(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step of every member on one batch: sums over it, [M] each,
        of the loss (without penalty) and of right answers."""
        logits = self._forward(inputs, training=True)
        loss = losses(logits, labels)
        # each member's loss touches its own slices only, so the gradient of the sum is every member's own
        (loss.mean(0) + self.penalty()).sum().backward()
        for name, tensor in self.tensors.items():
            for i, views in enumerate(self.views):
                views[name].grad = tensor.grad[i]
        for optimizer in self.optimizers.values():
            optimizer.step()
        for tensor in self.tensors.values():
            tensor.grad = None  # the next backward pass then writes a fresh one instead of adding
        return loss.detach().sum(0), (predicted(logits.detach()) == labels[:, None]).sum(0).float()

    def set_rates(self, rates: list[float]) -> None:
        for name, indices in self.indices.items():
            for each, i in zip(self.optimizers[name].param_groups, indices, strict=True):
                each["lr"] = rates[i]

    def weights(self) -> dict[str, torch.Tensor]:
        """What was learned, [M, ...] each: the tensors themselves, not copies."""
        return {name: tensor.detach() for name, tensor in self.tensors.items()} | self.buffers

    def load(self, weights: dict[str, torch.Tensor]) -> None:
        for name, tensor in self.weights().items():
            tensor.copy_(weights[name])

    def state(self) -> dict:
        return {
            "weights": {name: tensor.clone() for name, tensor in self.weights().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def restore(self, state: dict) -> None:
        self.load(state["weights"])
        for name, saved in state["optimizers"].items():
            self.optimizers[name].load_state_dict(saved)


def drop(inputs: torch.Tensor, rate: float, generator: torch.Generator) -> torch.Tensor:
    """Dropout with random numbers of its own, drawn on the CPU: one mask for every device and member."""
    shape = (len(inputs), *([1] if inputs.dim() == 3 else []), inputs.shape[-1])
    kept = torch.rand(shape, generator=generator).ge_(rate).div_(1 - rate)
    return inputs * kept.to(inputs.device)
