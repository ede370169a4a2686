"""What a tower is cut into: parts that are applied one after the other, of which the first ones may be frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One part of a tower. Those that follow each other hand on a tensor, or whatever else they agree on."""

    apply: Callable[[Any], Any]
    modules: tuple[nn.Module, ...]
    own: tuple[nn.Parameter, ...] = ()  # parameters of the tower itself that are in none of the modules
    depth: int | None = None  # layer decay's steps below the head; None where the tower has no order for it

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters of this part."""
        yield from self.own
        for module in self.modules:
            yield from module.parameters()

    @property
    def training(self) -> bool:
        """Whether any of its modules is in training mode."""
        return any(module.training for module in self.modules)

    def eval(self) -> None:
        """Put its modules into eval mode."""
        for module in self.modules:
            module.eval()


def layer_of(module: nn.Module, depth: int | None = None) -> Layer:
    """The part that a single module is."""
    return Layer(apply=module, modules=(module,), depth=depth)
