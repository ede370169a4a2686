"""An index on a GPU, in which FAISS finds candidates for the closest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jobs.similarity.exact import Floats, Rows, products_of

_SPARE = 8  # candidates more than are asked for
_MOST = 2_048  # that FAISS selects on a GPU
_ROUNDING = 1e-4  # 384 products of unit vectors in float32 err by at most 384 * 2^-24 = 2.3e-5


class FaissIndex:
    """Unit vectors of d numbers, in float32 on the GPU, and in memory for exact products.

    FAISS only finds candidates, some more than are asked for, and more again where those could not be all; their
    products are computed again in float64. So the outcome is that of the CPU.
    """

    def __init__(self, dimensions: int, device: str = "cuda") -> None:
        import faiss  # only where there is a GPU: an image for the CPU may lack it

        index = faiss.IndexFlatIP(dimensions)
        self._index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index) if device == "cuda" else index
        self._vectors = np.empty((0, dimensions), np.float32)
        self._blocks: list[Floats] = []

    @classmethod
    def of(cls, blocks: Iterable[Floats], dimensions: int, device: str = "cuda") -> Self:
        """An index of all blocks' vectors, float32 arrays of shape (any, d)."""
        index = cls(dimensions, device)
        for block in blocks:
            index.extend(block)
        return index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def extend(self, vectors: Floats) -> None:
        """Add vectors, float32 of shape (n, d)."""
        self._index.add(vectors)
        self._blocks.append(vectors)

    def vectors_at(self, rows: Rows) -> Floats:
        """The vectors of these rows, float32 of shape (n, d)."""
        self._join()
        return self._vectors[rows]

    def closest(self, queries: Floats, count: int) -> tuple[Floats, Rows]:
        """As jobs.similarity.closest.closest."""
        self._join()
        count = min(count, len(self))
        cosines, rows = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
        remaining, wanted = np.arange(len(queries)), min(count + _SPARE, len(self))
        while len(remaining) and count:
            found, best, complete = self._try(queries[remaining], count, wanted)
            cosines[remaining[complete]], rows[remaining[complete]] = best[complete], found[complete]
            remaining, wanted = remaining[~complete], 4 * wanted if 4 * wanted <= _MOST else len(self)
        return cosines, rows

    def _join(self) -> None:
        if self._blocks:
            self._vectors = np.concatenate([self._vectors, *self._blocks])
            self._blocks.clear()

    def _try(self, queries: Floats, count: int, wanted: int) -> tuple[Rows, Floats, NDArray[np.bool_]]:
        """The closest among so many candidates, and for which queries no other row can be closer."""
        if wanted == len(self):
            rows, scores = np.tile(np.arange(wanted), (len(queries), 1)), np.full((len(queries), 1), -np.inf)
        else:
            scores, rows = self._index.search(queries, wanted)
        numbers = np.repeat(np.arange(len(queries)), wanted)
        products = products_of(queries, numbers, self._vectors, rows.ravel()).astype(np.float32).reshape(rows.shape)
        order = np.lexsort((rows, -products), axis=-1)[:, :count]
        best = np.take_along_axis(products, order, 1)
        return np.take_along_axis(rows, order, 1), best, scores[:, -1] < best[:, -1] - _ROUNDING
