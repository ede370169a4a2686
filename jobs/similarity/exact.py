"""Cosines that are the same on every machine, and vectors scaled so that no product can overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadData

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]

_AT_ONCE = 512  # pairs; two arrays of 512 x 384 doubles stay in a processor's cache


def products(left: Floats, right: Floats) -> Doubles:
    """The inner products of rows in pairs, both float32 of shape (n, d); float64 of shape (n,).

    A product of two float32 is exact in float64, and the sums are taken in one fixed order, halves onto each other. So
    a pair's product does not depend on the processor, the number of threads, or the other pairs.
    """
    terms = np.multiply(left, right, dtype=np.float64)
    while (width := terms.shape[1]) > 1:
        half = width // 2
        folded = terms[:, :half] + terms[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += terms[:, -1]
        terms = folded
    return terms[:, 0]


def products_of(left: Floats, rows: Rows, right: Floats, others: Rows) -> Doubles:
    """The inner products of left[rows] and right[others] in pairs, float64 of shape (n,)."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        found[some] = products(left[rows[some]], right[others[some]])
    return found


def cosines_of(left: Floats, rows: Rows, right: Floats, others: Rows) -> Doubles:
    """The cosines of left[rows] and right[others] in pairs, float64 of shape (n,); at most 1."""
    squared = products_of(left, rows, left, rows), products_of(right, others, right, others)
    return np.minimum(1.0, products_of(left, rows, right, others) / np.sqrt(squared[0] * squared[1]))


def usable(vectors: Floats) -> Floats:
    """Those of the vectors that have a direction: neither zero nor with a number that is not finite."""
    rows = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    return vectors if rows.all() else vectors[rows]


def scaled(vectors: Floats, first_row: int = 0) -> tuple[Floats, Floats]:
    """The vectors with norms of 0.5 to 2, float32 of shape (n, d), and these norms, float32 of shape (n,).

    Others are scaled by a power of two, which changes no bit of a cosine; unit vectors stay as they are, uncopied.
    Raises BadData for a vector that is zero or not finite; its row is counted from `first_row`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squared = np.einsum("nd,nd->n", vectors, vectors)
    if not np.all((squared > 0.25) & (squared < 4)):
        vectors = _scaled(vectors, first_row)
        squared = np.einsum("nd,nd->n", vectors, vectors)
    return vectors, np.sqrt(squared)


def _scaled(vectors: Floats, first_row: int) -> Floats:
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    if bad := np.flatnonzero(~np.isfinite(largest) | (largest == 0)).tolist():
        raise BadData(
            f"{len(bad)} vectors are zero or not finite, the first in row {first_row + bad[0]}: no cosine is defined"
        )
    found = _by_power_of_two(vectors, largest)  # first, because the norm itself could overflow
    return _by_power_of_two(found, np.linalg.norm(found, axis=1))


def _by_power_of_two(vectors: Floats, sizes: NDArray[np.floating[Any]]) -> Floats:
    """The vectors so that their sizes become 0.5 to 1."""
    found: Floats = np.ldexp(vectors, -np.frexp(sizes)[1][:, None])
    return found
