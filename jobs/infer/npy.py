"""Files of vectors in numpy's format, version 1.0, written piece by piece. Free of numpy."""

from __future__ import annotations

from jobs.contract.samples import DIMENSIONS
from jobs.errors import Corrupt

VECTOR_BYTES = 4 * DIMENSIONS
_PREFIX = b"\x93NUMPY\x01\x00"
_ALIGNED = 64  # bytes that a header is a multiple of


def npy_header(count: int) -> bytes:
    """The header of an array of vectors, float32 of shape (count, 384), whose bytes follow it."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {DIMENSIONS}), }}"
    text += " " * (-(len(_PREFIX) + 2 + len(text) + 1) % _ALIGNED) + "\n"
    return _PREFIX + len(text).to_bytes(2, "little") + text.encode()


def vector_in(npy: bytes, what: str) -> bytes:
    """The numbers of one vector in the bytes of a file that this program wrote; raises Corrupt."""
    start = len(_PREFIX) + 2 + int.from_bytes(npy[8:10], "little")
    if not npy.startswith(_PREFIX) or b"'<f4'" not in npy[:start] or len(npy) - start != VECTOR_BYTES:
        raise Corrupt(f"the vector of {what} is not {DIMENSIONS} numbers of float32")
    return npy[start:]
