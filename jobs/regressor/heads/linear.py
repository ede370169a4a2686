"""One linear map."""

from __future__ import annotations

from torch import nn


def build(features: int, dimensions: int) -> nn.Module:
    """A module from (n, features) to (n, dimensions), with random weights."""
    return nn.Linear(features, dimensions)
