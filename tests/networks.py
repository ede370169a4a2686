"""Stored networks, as train leaves them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from jobs.contract.reading import TypedSample
from jobs.regressor.model import Regressor
from jobs.regressor.saved_model import encode_weights, load_regressor
from jobs.regressor.values import Architecture
from jobs.shards.tar import Sample


def to_sample(architecture: Architecture, weights: Mapping[str, Tensor]) -> Sample:
    """The sample of the group `model`."""
    return Sample("model", {"json": architecture.encode(), "safetensors": encode_weights(weights)})


def from_sample(sample: Sample) -> Regressor:
    """The network in it."""
    return load_regressor(TypedSample(sample, Architecture))
