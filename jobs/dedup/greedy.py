"""The exact greedy filter: the lexicographically first maximal independent set of the near-duplicate graph.

Going through the prompts in a total order, each is kept unless a prompt kept before it is as close as the threshold.
That gives independence (no two kept at or above it), coverage (every dropped one has a kept witness), and the same
answer for any block size, thread count or machine: FAISS only finds candidates, with a margin larger than float32's
rounding, and every decision is made in float64 on the pair itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadData

_BLOCK = 2048
_MARGIN = 1e-4  # 384 products of unit vectors in float32 err by at most 384 * 2^-24 = 2.3e-5
_FIRST_K = 8  # kept prompts are mutually below the threshold, so few can be close to one query

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decisions:
    """For every row, in order: `witness` is -1 where it was kept, else the row of the closest prompt kept before it
    (the earliest of equals); `cosine` is to that closest one, also for kept rows, -1 where there was none near."""

    witness: NDArray[np.int64]
    cosine: NDArray[np.float64]

    @property
    def kept(self) -> NDArray[np.bool_]:
        return self.witness < 0


def greedy(
    vectors: Floats, threshold: float, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Decisions:
    """Decide over vectors, float32 of shape (n, d), in their order; `on_progress` gets the rows decided and all.

    Raises BadData for a vector that is zero or not finite.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if bad := np.flatnonzero(~np.isfinite(norms) | (norms == 0)).tolist():
        raise BadData(f"{len(bad)} vectors are zero or not finite, the first in row {bad[0]}: no cosine is defined")
    unit = (vectors / norms[:, None]).astype(np.float32)
    witness = np.full(len(unit), -1, dtype=np.int64)
    nearest = np.full(len(unit), -1.0)
    index = faiss.IndexFlatIP(unit.shape[1])
    rows_kept = np.empty(len(unit), dtype=np.int64)  # row of each vector in the index
    for start in range(0, len(unit), _BLOCK):
        block = unit[start : start + _BLOCK]
        earlier = list(near(index, block, threshold - _MARGIN))
        within = block @ block.T >= threshold - _MARGIN
        kept_here = np.zeros(len(block), dtype=bool)
        for i, found in enumerate(earlier):
            candidates = np.concatenate(
                [np.sort(rows_kept[found]), start + np.flatnonzero(within[i, :i] & kept_here[:i])]
            )
            cosines = _cosines(vectors, norms, start + i, candidates)
            if len(cosines):
                best = int(np.argmax(cosines))
                nearest[start + i] = cosines[best]
                if cosines[best] >= threshold:
                    witness[start + i] = candidates[best]
                    continue
            kept_here[i] = True
        rows = start + np.flatnonzero(kept_here)
        rows_kept[index.ntotal : index.ntotal + len(rows)] = rows
        index.add(unit[rows])
        on_progress(start + len(block), len(unit))
    return Decisions(witness, nearest)


def near(index: faiss.IndexFlatIP, queries: Floats, radius: float) -> Iterator[NDArray[np.int64]]:
    """For every query the ids of all indexed vectors with a product of `radius` or more, none left out.

    Asks for the k best and doubles k until the k-th is below the radius: FAISS has no range search on GPUs, and a
    fixed k would silently cap the answer.
    """
    answers: dict[int, NDArray[np.int64]] = {}
    open_queries, k = np.arange(len(queries)), min(_FIRST_K, index.ntotal)
    while len(open_queries):
        if k == 0:
            answers.update(dict.fromkeys(open_queries.tolist(), np.empty(0, dtype=np.int64)))
            break
        scores, ids = index.search(queries[open_queries], k)
        complete = (scores[:, -1] < radius) | (k == index.ntotal)
        for query, score, found in zip(open_queries[complete], scores[complete], ids[complete], strict=True):
            answers[int(query)] = found[score >= radius]
        open_queries, k = open_queries[~complete], min(4 * k, index.ntotal)
    return (answers[query] for query in range(len(queries)))


def _cosines(vectors: Floats, norms: NDArray[np.float64], row: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cosines of one row with others in float64, each pair summed alone so that its value never depends on company."""
    one = vectors[row].astype(np.float64)
    return np.array(
        [float(np.dot(one, vectors[other].astype(np.float64))) / (norms[row] * norms[other]) for other in others]
    )
