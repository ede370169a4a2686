"""A trained network as one sample: weights as safetensors, architecture as JSON, no pickle anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from jobs.errors import BadData, Corrupt
from jobs.regressor.model import Architecture, Regressor
from jobs.shards.dataset import Dataset
from jobs.shards.tar import Sample, json_field

MODEL = "model"  # the shard, and the key of its only sample


def to_sample(architecture: Architecture, weights: Mapping[str, Tensor]) -> Sample:
    """The sample that holds a network; equal weights give equal bytes."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    fields = {"safetensors": safetensors.torch.save(contiguous), "json": json_field(architecture.to_json())}
    return Sample(MODEL, fields)


def from_sample(sample: Sample) -> Regressor:
    """The network in eval mode, on the CPU; raises Corrupt unless the weights are exactly the architecture's."""
    with torch.device("meta"):  # no time and memory for weights that are replaced at once
        regressor = Regressor(Architecture.of(sample.json()))
    try:
        regressor.load_state_dict(safetensors.torch.load(sample["safetensors"]), strict=True, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise Corrupt(f"the stored network does not fit its architecture: {error}") from error
    return regressor.eval()


def load_trained(trained: Dataset, device: torch.device) -> Regressor:
    """The network that train left, in eval mode on the device; raises BadData, Corrupt, NotFound."""
    for sample in trained.samples(MODEL):
        return from_sample(sample).to(device)
    raise BadData(f"the dataset {trained.name} holds no network; run train first")
