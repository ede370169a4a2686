"""The moving average of the weights, which predicts better than the last weights do."""

from __future__ import annotations

import torch
from torch import Tensor

from jobs.regressor.model import Regressor


class Average:
    """An exponential moving average of what learns, and of the running statistics."""

    def __init__(self, regressor: Regressor, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.clone() for name, tensor in averaged_tensors(regressor).items()}

    @torch.no_grad()
    def update(self, regressor: Regressor, step: int) -> None:
        """Move towards the weights after a step, counted from 0.

        The decay grows to its value as (1 + t) / (10 + t), so that the random beginning is soon forgotten (as in
        TensorFlow's ExponentialMovingAverage).
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        live = averaged_tensors(regressor)  # not kept: wrapping for several processes gives parameters other tensors
        torch._foreach_lerp_(list(self.tensors.values()), [live[name] for name in self.tensors], 1 - decay)


def averaged_tensors(regressor: Regressor) -> dict[str, Tensor]:
    """What training changes and can be averaged: parameters that are not frozen, and floating statistics."""
    learning = {name for name, parameter in regressor.named_parameters() if parameter.requires_grad}
    statistics = {name for name, tensor in regressor.named_buffers() if tensor.is_floating_point()}
    state = regressor.state_dict()
    return {name: state[name] for name in state if name in learning | statistics}
