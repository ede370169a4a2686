"""AdamW, the rate of each parameter, and how the rates move with the step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jobs.errors import BadConfiguration
from jobs.regressor.model import Regressor
from jobs.train.stage import TrainParams


def build_optimizer(regressor: Regressor, params: TrainParams) -> torch.optim.AdamW:
    """AdamW over what is not frozen, a group for each rate and decay; a group knows its parameters' `names`.

    Norms, biases and scales, which have one dimension, do not decay (as in timm and in the ConvNeXt paper).
    """
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    depths = regressor.depths()
    for name, parameter in regressor.named_parameters():
        if not parameter.requires_grad:
            continue
        in_head = name.startswith("head.")
        rate = _peak(depths.get(name), params, in_head=in_head)
        decay = params.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay, in_head), {"params": [], "names": []})
        group |= {"lr": rate, "peak": rate, "weight_decay": decay, "in_head": in_head}
        group["params"].append(parameter)
        group["names"].append(name)
    return torch.optim.AdamW(list(groups.values()), lr=params.learning_rate, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, params: TrainParams, *, step: int, steps: int) -> float:
    """Give each group its rate for this step (counted from 0) and return the factor that is common to all."""
    factor = rate_factor(params, step, steps)
    for group in optimizer.param_groups:
        rests = step < params.head_only_steps and not group["in_head"]
        group["lr"] = 0.0 if rests else factor * group["peak"]
    return factor


def rate_factor(params: TrainParams, step: int, steps: int) -> float:
    """The rate of a step as a fraction of the highest.

    `one-cycle` is the cosine form of torch's OneCycleLR (Smith and Topin 2017) without its moving momentum: from 1/25
    to 1, then to 1/250,000. `cosine` rises in a straight line and falls to 0.
    """
    rising = params.warm_up * steps
    lowest, last = (1 / 25, 1 / 250_000) if params.schedule == "one-cycle" else (0.0, 0.0)
    if step < rising:
        done = (step + 1) / (rising + 1)
        return lowest + (1 - lowest) * (_ease(done) if params.schedule == "one-cycle" else done)
    return 1 + (last - 1) * _ease((step - rising) / max(1.0, steps - 1 - rising))


def _ease(done: float) -> float:
    """From 0 to 1 along half a cosine."""
    return (1 - math.cos(math.pi * min(1.0, done))) / 2


def _peak(depth: int | None, params: TrainParams, *, in_head: bool) -> float:
    if in_head:
        return params.head_learning_rate or params.learning_rate
    if params.layer_decay is None:
        return params.learning_rate
    if depth is None:
        raise BadConfiguration(
            f"layer_decay needs an order of the tower's layers, which {params.model} has not; set it to null"
        )
    return params.learning_rate * params.layer_decay**depth


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors by name: {"PARAMETER/exp_avg": …}."""
    names = _names(optimizer)
    state = optimizer.state_dict()["state"]
    return {f"{names[number]}/{key}": tensor for number, of_one in state.items() for key, tensor in of_one.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_state` gave.

    Each in its parameter's memory layout: the fused kernel reads both in the order of addresses.
    """
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = {name: number for number, name in enumerate(_names(optimizer))}
    for name, tensor in tensors.items():
        owner, _, key = name.rpartition("/")
        number = numbers[owner]
        laid_out = torch.empty_like(parameters[number]).copy_(tensor) if tensor.ndim else tensor
        state.setdefault(number, {})[key] = laid_out
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _names(optimizer: torch.optim.Optimizer) -> list[str]:
    return [name for group in optimizer.param_groups for name in group["names"]]
