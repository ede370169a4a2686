"""Arrays as the `npy` field of a sample, without pickle."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from jobs.errors import Corrupt


def npy_field(array: NDArray[np.generic]) -> bytes:
    """An array as the bytes of a .npy file; equal arrays of equal dtype give equal bytes."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def from_npy(data: bytes) -> NDArray[np.float32]:
    """The array in the bytes of a .npy file, as float32; raises Corrupt for anything else, pickles included."""
    try:
        array: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False).astype(np.float32, copy=False)
        return array
    except (ValueError, OSError, EOFError) as error:
        raise Corrupt(f"not a .npy array: {error}") from error
