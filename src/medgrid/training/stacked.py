"""Dense networks that train on the same batches, stacked into one set of matrices, with optimizers of torch."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from medgrid.config import Layer, Training
from medgrid.models.backbones import normalising
from medgrid.models.layers import ACTIVATIONS, penalty
from medgrid.models.networks import to_float
from medgrid.training.losses import losses, predicted
from medgrid.training.optimizers import make_optimizer


class StackedMLP:
    """M dense networks [D -> outputs] over the same inputs, with different optimizers, rates, decays or schedulers.

    Each layer is one matrix product for all members, forward and backward; the optimizer sees each member's slice of
    a matrix as a parameter. A member computes the same as it would alone, up to the rounding of matrix products of
    another shape. Inputs are float [B, D], or uint8 pixels, which are normalised.
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
        """`inputs` is D, `dropout` the rate on the inputs, `channels` those of pixels (features: 1).

        Of `generators`, `initial` draws weights and `dropout` masks.
        """
        self.members, self.dropout, self.generator = len(members), dropout, generators["dropout"]
        self.layers = layers
        scale, shift = normalising(members[0].normalisation, channels)
        self.scale, self.shift = scale.to(device), shift.to(device)
        self.tensors: dict[str, torch.Tensor] = {}  # [M, ...] each
        self.buffers: dict[str, torch.Tensor] = {}
        self.activations = [ACTIVATIONS[layer.activation]() if layer.activation else None for layer in layers]
        self.output = str(len(layers))
        self._initialise([*layers, Layer(dense=outputs)], inputs, generators["initial"], device)
        self.slices = [
            {name: nn.Parameter(tensor.detach()[i]) for name, tensor in self.tensors.items()}
            for i in range(self.members)
        ]
        # members by optimizer: one optimizer updates all members that use it, with a parameter group for each
        self.indices: dict[str, list[int]] = {}
        for i, member in enumerate(members):
            self.indices.setdefault(member.optimizer, []).append(i)
        self.optimizers = {
            name: make_optimizer(name, [(members[i], list(self.slices[i].values())) for i in indices])
            for name, indices in self.indices.items()
        }

    def _initialise(self, layers: list[Layer], inputs: int, generator: torch.Generator, device: torch.device) -> None:
        """Weights as `nn.Linear` and `nn.BatchNorm1d` initialise them.

        All members of a stack have the replicate's seed, and therefore the same initial weights.
        """
        for i, layer in enumerate(layers):
            if layer.dense:
                bound = 1 / math.sqrt(inputs)
                for name, shape in ((f"{i}.weight", (layer.dense, inputs)), (f"{i}.bias", (layer.dense,))):
                    self._add(name, torch.empty(shape).uniform_(-bound, bound, generator=generator).to(device))
                inputs = layer.dense
            if layer.batch_norm:
                self._add(f"{i}.norm_weight", torch.ones(inputs, device=device))
                self._add(f"{i}.norm_bias", torch.zeros(inputs, device=device))
                self.buffers[f"{i}.mean"] = torch.zeros(self.members, inputs, device=device)
                self.buffers[f"{i}.var"] = torch.ones(self.members, inputs, device=device)

    def _add(self, name: str, tensor: torch.Tensor) -> None:
        """Add a weight of one member, repeated for all."""
        self.tensors[name] = tensor.expand(self.members, *tensor.shape).clone().requires_grad_()

    def _dense(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs [B, D] of all members, or [B, M, D], to [B, M, units]."""
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        if inputs.dim() == 2:
            return F.linear(inputs, weight.flatten(0, 1), bias.flatten()).view(len(inputs), *weight.shape[:2])
        return torch.baddbmm(bias[:, None], inputs.transpose(0, 1), weight.transpose(1, 2)).transpose(0, 1)

    def _batch_norm(self, i: int, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        """BatchNorm of layer `i`, [B, D] or [B, M, D] to [B, M, D]: M * D channels to torch."""
        wide = inputs if inputs.dim() == 3 else inputs[:, None].expand(-1, self.members, -1)
        mean, var = self.buffers[f"{i}.mean"], self.buffers[f"{i}.var"]
        weight, bias = self.tensors[f"{i}.norm_weight"], self.tensors[f"{i}.norm_bias"]
        # flat views of the running statistics, which batch_norm updates in place
        mean, var, weight, bias = (tensor.flatten() for tensor in (mean, var, weight, bias))
        return F.batch_norm(wide.flatten(1), mean, var, weight, bias, training).view(wide.shape)

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
                inputs = self._batch_norm(i, inputs, training)
            if training and layer.dropout:
                inputs = drop(inputs, layer.dropout, self.generator)
        return self._dense(self.output, inputs)

    @torch.no_grad()
    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """[B, D] to [B, M, outputs], without dropout, with the running statistics of BatchNorm."""
        return self._forward(inputs, training=False)

    def penalty(self) -> torch.Tensor:
        """L1 and L2 penalties [M] of the layers that have them."""
        total = next(iter(self.tensors.values())).new_zeros(self.members)
        for i, layer in enumerate(self.layers):
            if layer.l1 or layer.l2:
                total = total + penalty(self.tensors[f"{i}.weight"], layer.l1, layer.l2)
        return total

    def step(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step of all members on one batch.

        Returns the sums, over the batch, of the loss (without penalty) and of correct predictions, [M] each.
        """
        logits = self._forward(inputs, training=True)
        loss = losses(logits, labels)
        # a member's loss depends only on its own slices, so the gradient of the sum has that of each member
        (loss.mean(0) + self.penalty()).sum().backward()
        for name, tensor in self.tensors.items():
            if tensor.grad is not None:  # always, since each weight contributes to the loss
                for i, member in enumerate(self.slices):
                    member[name].grad = tensor.grad[i]
        for optimizer in self.optimizers.values():
            optimizer.step()
        for tensor in self.tensors.values():
            tensor.grad = None  # so that the next backward pass allocates a gradient instead of adding to this one
        return loss.detach().sum(0), (predicted(logits.detach()) == labels[:, None]).sum(0).float()

    def set_rates(self, rates: list[float]) -> None:
        for name, indices in self.indices.items():
            for group, i in zip(self.optimizers[name].param_groups, indices, strict=True):
                group["lr"] = rates[i]

    def weights(self) -> dict[str, torch.Tensor]:
        """Weights and running statistics, [M, ...] each: the tensors themselves, not copies."""
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
    """Dropout with one mask for all members, drawn on the CPU: the same on all devices."""
    shape = (len(inputs), *([1] if inputs.dim() == 3 else []), inputs.shape[-1])
    mask = torch.rand(shape, generator=generator).ge_(rate).div_(1 - rate)
    return inputs * mask.to(inputs.device)
