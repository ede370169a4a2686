"""What a network gave for held-out images, as evaluate keeps it for the ensembles that the network may be in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from jobs.contract.samples import DIMENSIONS
from jobs.errors import Corrupt
from jobs.regressor.values import HeldOutRecord

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HeldOutVectors:
    """Of n images of one split, in the dataset's order; float32 each."""

    vectors: Floats  # unit vectors, of shape (n, 384)
    lengths: Floats  # of what the head gave before it was normalised, of shape (n,)
    true: Floats  # unit vectors of the prompts, of shape (n, 384)
    feature_distance: Floats  # of shape (n,)
    detail: Floats  # of shape (n,)

    def rows(self, rows: NDArray[np.bool_] | slice) -> HeldOutVectors:
        """Those of some images; `rows` of shape (n,), or a slice."""
        return HeldOutVectors(*(array[rows] for array in self.arrays().values()))

    def arrays(self) -> dict[str, Floats]:
        """All of them by their names."""
        return {name: getattr(self, name) for name in _SHAPES}


_SHAPES = {
    "vectors": (DIMENSIONS,),
    "lengths": (),
    "true": (DIMENSIONS,),
    "feature_distance": (),
    "detail": (),
}


def encode_held_out(splits: Mapping[str, HeldOutVectors]) -> bytes:
    """As safetensors; equal vectors give equal bytes."""
    arrays = {
        f"{split}.{name}": np.ascontiguousarray(array)
        for split, found in splits.items()
        for name, array in found.arrays().items()
    }
    return safetensors.numpy.save(arrays)


def decode_held_out(stored: bytes, record: HeldOutRecord) -> dict[str, HeldOutVectors]:
    """What was encoded, by split; raises Corrupt unless it is of the images that the record names."""
    try:
        arrays = safetensors.numpy.load(stored)
    except SafetensorError as error:
        raise Corrupt(f"the stored vectors of held-out images are no safetensors: {error}") from error
    wanted = {
        f"{split}.{name}": (len(keys), *rest) for split, keys in record.keys.items() for name, rest in _SHAPES.items()
    }
    found = {name: array.shape for name, array in arrays.items()}
    if found != wanted:
        raise Corrupt(f"the stored vectors of held-out images have the shapes {found}, and not {wanted}")
    return {split: HeldOutVectors(*(arrays[f"{split}.{name}"] for name in _SHAPES)) for split in record.keys}
