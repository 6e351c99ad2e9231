"""One network with its optimizer and the interface of `StackedMLP`: a stack with one member."""

import contextlib

import torch

from medgrid.config import Augmentation, Model, Training
from medgrid.models.augment import augment
from medgrid.models.layers import penalty
from medgrid.models.networks import Network, freeze, penalties
from medgrid.training.losses import losses, predicted
from medgrid.training.optimizers import make_optimizer


class WholeNetwork:
    """A network, or a head on feature maps, of which some modules train.

    Inputs are uint8 images [B, H, W, C], or float feature maps [B, F, h, w] for a network without a backbone. On a
    GPU with bfloat16, forward passes use torch's autocast; weights stay float32.
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
        """`generators` are those of `make_generators`; `dropout` seeds the global one, which dropout layers use."""
        self.network = network.to(device)
        self.training: bool | None = None  # whether it is in training mode; None: unknown
        self.trained = freeze(network, model, training)
        self.penalised = penalties(network, model)
        self.augmentation, self.generators, self.device = augmentation, generators, device
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generators["dropout"])))
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(training.optimizer, [(training, parameters)])
        # parameters that train, and statistics of the BatchNorm layers among them
        trained = {id(tensor) for module in self.trained for tensor in (*module.parameters(), *module.buffers())}
        self.names = [name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in trained]
        self.autocast = (
            torch.autocast("cuda", torch.bfloat16)
            if device.type == "cuda" and torch.cuda.is_bf16_supported()
            else contextlib.nullcontext()
        )

    def _set_mode(self, training: bool) -> None:
        # only when it changes: a traced network compiles its graph again each time
        if training != self.training:
            self.network.eval()
            for module in self.trained:
                module.train(training)
            self.training = training

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        with self.autocast:
            logits = self.network(inputs)
        return (logits.float() if logits.dtype == torch.bfloat16 else logits)[:, None]

    @torch.no_grad()
    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """[B, ...] to [B, 1, outputs], in eval mode, without augmentation."""
        self._set_mode(training=False)
        return self._logits(inputs)

    def penalty(self) -> torch.Tensor:
        """L1 and L2 penalties, [1]."""
        total = torch.zeros(1, device=self.device)
        for weight, l1, l2 in self.penalised:
            total = total + penalty(weight[None], l1, l2)
        return total

    def step(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step on one batch.

        Returns the sums, over the batch, of the loss (without penalty) and of correct predictions, [1] each.
        """
        self._set_mode(training=True)
        if self.augmentation:
            inputs = augment(inputs, self.augmentation, self.generators)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self._logits(inputs)
        loss = losses(logits, labels)
        (loss.mean(0) + self.penalty()).sum().backward()
        self.optimizer.step()
        return loss.detach().sum(0), (predicted(logits.detach()) == labels[:, None]).sum(0).float()

    def set_rates(self, rates: list[float]) -> None:
        (self.optimizer.param_groups[0]["lr"],) = rates

    def weights(self) -> dict[str, torch.Tensor]:
        """Weights and statistics of what trains, [1, ...] each: the tensors themselves, not copies."""
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
