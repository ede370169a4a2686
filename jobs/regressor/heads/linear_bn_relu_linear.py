"""Two linear maps with batch normalisation and a ReLU between them."""

from __future__ import annotations

from torch import nn


def build(features: int, dimensions: int) -> nn.Module:
    """A module from (n, features) to (n, dimensions), with random weights; its inner width is `features`."""
    return nn.Sequential(
        nn.Linear(features, features), nn.BatchNorm1d(features), nn.ReLU(), nn.Linear(features, dimensions)
    )
