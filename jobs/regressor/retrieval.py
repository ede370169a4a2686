"""Exact search for the closest of many prompt vectors, block after block, so that not all need be in memory."""

from __future__ import annotations

from collections.abc import Iterable

import faiss
import numpy as np
from numpy.typing import NDArray

from jobs.runtime.arrays import from_npy
from jobs.shards.tar import Sample

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

_SPARE = 8  # candidates more than are asked for; two that float32 may confuse are within 2.3e-5 of each other
_AT_ONCE = 1024  # queries whose rows are gathered together


def vectors_of(samples: Iterable[Sample]) -> Floats:
    """The samples' vectors, float32 of shape (n, 384)."""
    return np.stack([from_npy(sample["npy"]) for sample in samples])


def nearest(blocks: Iterable[Floats], queries: Floats, count: int) -> tuple[Floats, Ids]:
    """The `count` rows of all blocks with the largest inner product with each query, best first.

    The same on every machine: FAISS, whose last bits depend on the processor and on the number of threads, only finds
    candidates, a few more than are asked for; their products are computed again in float64.

    Args:
        blocks: float32 arrays of shape (any, d); rows are numbered through all of them.
        queries: float32 of shape (n, d).

    Returns:
        (cosines, row numbers), each of shape (n, the smaller of `count` and the number of rows). Of equal rows the
        earlier comes first, so the outcome does not depend on how the rows are cut into blocks.
    """
    best = np.empty((len(queries), 0), np.float32)
    ids = np.empty((len(queries), 0), np.int64)
    start = 0
    for block in blocks:
        _, rows = faiss.knn(queries, block, min(count + _SPARE, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best, ids = np.hstack([best, _products(queries, block, rows)]), np.hstack([ids, rows + start])
        order = np.lexsort((ids, -best), axis=-1)[:, :count]
        best, ids = np.take_along_axis(best, order, 1), np.take_along_axis(ids, order, 1)
        start += len(block)
    return best, ids


def _products(queries: Floats, block: Floats, rows: Ids) -> Floats:
    """The inner product of each query with each of its rows, summed in float64; float32 of the shape of `rows`."""
    found = np.empty(rows.shape, np.float32)
    for start in range(0, len(queries), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        found[some] = np.einsum("nd,nkd->nk", queries[some].astype(np.float64), block[rows[some]].astype(np.float64))
    return found
