"""One whole network with its optimizer, behind the same interface as a stack: a stack of one."""

import contextlib

import torch

from medgrid.config import Augmentation, Model, Training
from medgrid.models.augment import augment
from medgrid.models.layers import penalty
from medgrid.models.networks import Network, freeze, penalties
from medgrid.training.losses import losses, predicted
from medgrid.training.optimizers import OPTIMIZERS, group


class WholeNetwork:
    """A network and what trains in it.

    Inputs are uint8 images [B, H, W, C], or float feature maps [B, F, h, w] for a network without backbone. On a GPU
    that has it, forward passes run in bfloat16 where torch's autocast finds that safe; weights stay float32.
    """

    members = 1

    def __init__(
        self,
        network: Network,
        model: Model,
        training: Training,
        augmentation: Augmentation | None,
        generators: dict[str, torch.Generator],
        device: torch.device,
    ):
        """`generators` are named augmentation and dropout; the second seeds torch's own, which dropout layers use."""
        self.network, self.training = network.to(device), None
        self.trained = freeze(network, model, training)
        self.penalised = penalties(network, model)
        self.augmentation, self.generator, self.device = augmentation, generators["augmentation"], device
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generators["dropout"])))
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = OPTIMIZERS[training.optimizer]([group(training, learned)])
        # parameters that train, and statistics of the BatchNorm layers among them
        inside = {id(tensor) for module in self.trained for tensor in (*module.parameters(), *module.buffers())}
        self.names = [name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in inside]
        self.autocast = (
            torch.autocast("cuda", torch.bfloat16)
            if device.type == "cuda" and torch.cuda.is_bf16_supported()
            else contextlib.nullcontext()
        )

    def _switch(self, training: bool) -> None:
        # only where it changes: a cut network compiles its graph anew each time
        if training != self.training:
            self.network.eval()
            for module in self.trained:
                module.train(training)
            self.training = training

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        with self.autocast:
            made = self.network(inputs)
        return (made.float() if made.dtype == torch.bfloat16 else made)[:, None]

    @torch.no_grad()
    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """[B, ...] to [B, 1, outputs], in eval mode, without augmentation."""
        self._switch(training=False)
        return self._logits(inputs)

    def penalty(self) -> torch.Tensor:
        """L1 and L2 penalties, [1]."""
        total = torch.zeros(1, device=self.device)
        for weight, l1, l2 in self.penalised:
            total = total + penalty(weight[None], l1, l2)
        return total

    def step(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step on one batch: sums over it, [1] each, of loss (without penalty) and of right answers."""
        self._switch(training=True)
        if self.augmentation:
            inputs = augment(inputs, self.augmentation, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self._logits(inputs)
        loss = losses(logits, labels)
        (loss.mean(0) + self.penalty()).sum().backward()
        self.optimizer.step()
        return loss.detach().sum(0), (predicted(logits.detach()) == labels[:, None]).sum(0).float()

    def set_rates(self, rates: list[float]) -> None:
        (self.optimizer.param_groups[0]["lr"],) = rates

    def weights(self) -> dict[str, torch.Tensor]:
        """What was learned, [1, ...] each: the tensors themselves, not copies."""
        state = self.network.state_dict()
        return {name: state[name][None] for name in self.names}

    def load(self, weights: dict[str, torch.Tensor]) -> None:
        for name, tensor in self.weights().items():
            tensor.copy_(weights[name])

    def state(self) -> dict:
        random = {"cpu": torch.random.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "weights": {name: tensor.clone() for name, tensor in self.weights().items()},
            "optimizer": self.optimizer.state_dict(),
            "random": random,
        }

    def restore(self, state: dict) -> None:
        self.load(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.random.set_rng_state(state["random"]["cpu"].cpu())
        if "cuda" in state["random"] and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["cuda"].cpu(), self.device)
