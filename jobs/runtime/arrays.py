"""Arrays as the `npy` field of a sample, without pickle."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import Corrupt
from jobs.shards.tar import Sample


def vectors_of(samples: Iterable[Sample]) -> NDArray[np.float32]:
    """The samples' vectors, float32 of shape (n, d); there is at least one. Raises Corrupt."""
    return np.stack([from_npy(sample["npy"]) for sample in samples])


def npy_field(array: NDArray[np.generic]) -> bytes:
    """An array as the bytes of a .npy file; equal arrays of equal dtype give equal bytes."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def from_npy(data: bytes) -> NDArray[np.float32]:
    """The array in the bytes of a .npy file, as float32; raises Corrupt for anything else, pickles included."""
    try:
        size = _header_size(data)
        shape, fortran, kind = _header(data[:size])
        if kind.hasobject or kind.kind not in "fiub":
            raise ValueError(f"its numbers are {kind}")
        if math.prod(shape) * kind.itemsize != len(data) - size:
            raise ValueError(f"it has {len(data) - size:,} bytes for the shape {shape} of {kind}")
        array = np.frombuffer(data, kind, offset=size).reshape(shape, order="F" if fortran else "C")
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    except Exception as error:  # numpy reads the header with Python's own parser, which raises nearly anything
        raise Corrupt(f"not a .npy array: {error}") from error


def _header_size(data: bytes) -> int:
    """Bytes of the header, as the format's versions 1 to 3 say it."""
    first = data[6] if data.startswith(np.lib.format.MAGIC_PREFIX) and len(data) >= 12 else 0
    return 10 + int.from_bytes(data[8:10], "little") if first == 1 else 12 + int.from_bytes(data[8:12], "little")


@lru_cache(maxsize=64)  # numpy needs 30 us for one, and equal shapes have equal headers
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)
