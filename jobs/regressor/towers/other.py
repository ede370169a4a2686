"""Every tower that no other family covers: one layer, which learns as a whole or not at all."""

from __future__ import annotations

from torch import nn

from jobs.regressor.layer import Layer, layer_of

CLASSES = ()
SUPPORTS = ()


def layers(tower: nn.Module) -> list[Layer]:
    """The tower as one layer."""
    return [layer_of(tower)]
