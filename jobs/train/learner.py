"""All that changes while a network learns, and nothing else: what a checkpoint must hold to continue exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jobs.registry import load
from jobs.regressor.model import Regressor
from jobs.regressor.pretrained import load_pretrained, normalisation
from jobs.regressor.saved_model import require_loadable
from jobs.regressor.values import Architecture
from jobs.train.contract import CurvePoint, LearnerState
from jobs.train.ema import Average, averaged_tensors
from jobs.train.optimizer import build_optimizer, load_optimizer_state, optimizer_state
from jobs.train.stage import LOSSES, TrainParams


@dataclass(slots=True)
class Learner:
    """A network in training. Random numbers are not among its state: each step seeds torch's generator anew."""

    regressor: Regressor
    optimizer: torch.optim.Optimizer
    average: Average | None
    loss: Callable[[Tensor, Tensor], Tensor]  # of predicted and true vectors, (n, 384) each; what is minimised
    step: int = 0  # steps done
    losses: list[float] = field(default_factory=list)  # since the last point of the curve
    cosines: list[float] = field(default_factory=list)  # as many
    curve: list[CurvePoint] = field(default_factory=list)

    def state(self, scaler: dict[str, Any]) -> LearnerState:
        """The JSON from which `restore` continues, beside the tensors; with the state of fp16's scaler."""
        return LearnerState(
            step=self.step,
            losses=list(self.losses),
            cosines=list(self.cosines),
            curve=list(self.curve),
            scaler=scaler,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The tensors from which `restore` continues; frozen weights are made again and not among them."""
        tensors = {f"weights/{name}": tensor for name, tensor in self._changing().items()}
        tensors |= {f"moments/{name}": tensor for name, tensor in optimizer_state(self.optimizer).items()}
        if self.average:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.tensors.items()}
        return tensors

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], state: LearnerState) -> None:
        """Become what `tensors` and `state` were taken of."""
        for name, tensor in self._changing().items():
            tensor.copy_(tensors[f"weights/{name}"])
        load_optimizer_state(self.optimizer, _below("moments/", tensors))
        if self.average:
            for name, tensor in self.average.tensors.items():
                tensor.copy_(tensors[f"average/{name}"])
        self.step, self.losses, self.curve = state.step, list(state.losses), list(state.curve)
        self.cosines = list(state.cosines)

    def result(self) -> dict[str, Tensor]:
        """The weights to keep: the average where there is one, else the last."""
        state = self.regressor.state_dict()
        averages = self.average.tensors if self.average else {}
        # by address, because some tensors have two names
        by_address = {state[name].data_ptr(): tensor for name, tensor in averages.items() if tensor.numel()}
        return {
            name: by_address.get(tensor.data_ptr(), tensor) for name, tensor in state.items()
        }  # some have two names

    def _changing(self) -> dict[str, Tensor]:
        state, buffers = self.regressor.state_dict(), dict(self.regressor.named_buffers())
        counts = {name: state[name] for name in state if name in buffers and not state[name].is_floating_point()}
        return {**averaged_tensors(self.regressor), **counts}


def new_learner(params: TrainParams, device: torch.device) -> Learner:
    """A network as it is before the first step, equal every time.

    Raises BadConfiguration, also where the trained network could not be loaded again.
    """
    torch.manual_seed(params.seed)
    mean, std = normalisation(params.model, params.pretrained)
    architecture = Architecture(model=params.model, image_size=params.image_size, head=params.head, mean=mean, std=std)
    regressor = Regressor(architecture, drop_path=params.drop_path)
    if params.pretrained is not None:
        load_pretrained(regressor, params.pretrained, params.revision)
    require_loadable(regressor)
    regressor.freeze(params.trainable)
    regressor = regressor.to(device).to(memory_format=torch.channels_last)
    average = Average(regressor, params.ema_decay) if params.ema_decay is not None else None
    loss = load(LOSSES, params.loss, "loss")
    return Learner(regressor, build_optimizer(regressor, params), average, loss)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
