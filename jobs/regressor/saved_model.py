"""A trained network as it is stored: weights as safetensors, architecture as JSON, no pickle anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from jobs.contract.reading import TypedSample
from jobs.errors import BadConfiguration, Corrupt
from jobs.regressor.empty_weights import empty_weights, not_stored
from jobs.regressor.model import Regressor
from jobs.regressor.values import Architecture


def encode_weights(weights: Mapping[str, Tensor]) -> bytes:
    """The weights as safetensors; equal weights give equal bytes."""
    return safetensors.torch.save(_separate(weights))


def _separate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with memory of their own; what a tower uses in two places (CoaT does) is stored under both names."""
    addresses: set[int] = set()
    found = {}
    for name, tensor in weights.items():
        found[name] = tensor.detach().cpu().contiguous()
        if found[name].untyped_storage().data_ptr() in addresses:
            found[name] = found[name].clone()
        addresses.add(found[name].untyped_storage().data_ptr())
    return found


def load_regressor(saved: TypedSample[Architecture]) -> Regressor:
    """The network in eval mode, on the CPU; raises Corrupt unless the weights are exactly the architecture's.

    Raises BadConfiguration when the tower has tensors that are neither stored nor computed when it is built.
    """
    with empty_weights():
        regressor = Regressor(saved.value)
    try:
        regressor.load_state_dict(safetensors.torch.load(saved["safetensors"]), strict=True, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise Corrupt(f"the stored network does not fit its architecture: {error}") from error
    if missing := [name for name, tensor in not_stored(regressor).items() if tensor.is_meta]:
        raise BadConfiguration(_not_computed(regressor, missing))
    return regressor.eval()


def require_loadable(regressor: Regressor) -> None:
    """Raise BadConfiguration unless a network built anew computes what is not stored of this one, bit for bit.

    To be asked before training, which is lost where this is found only afterwards.
    """
    with empty_weights():
        anew = not_stored(Regressor(regressor.architecture))
    if missing := [name for name, tensor in not_stored(regressor).items() if not _is_equal(anew.get(name), tensor)]:
        raise BadConfiguration(_not_computed(regressor, missing))


def _is_equal(found: Tensor | None, wanted: Tensor) -> bool:
    return found is not None and not found.is_meta and torch.equal(found, wanted.to(found.device))


def _not_computed(regressor: Regressor, missing: Sequence[str]) -> str:
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (
        f"model: a trained {regressor.architecture.model} could not be loaded again, because its tensor "
        f"{missing[0]}{more} is neither stored with the weights nor computed from the architecture alone; use another "
        "tower, or versions of timm and open_clip in which it is"
    )
