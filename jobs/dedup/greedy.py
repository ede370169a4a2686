"""The exact greedy filter: the lexicographically first maximal independent set of the near-duplicate graph.

Going through the prompts in a total order, each is kept unless a prompt kept before it is as close as the threshold.
That gives independence (no two kept at or above it), coverage (every dropped one has a kept witness), and the same
answer for any blocks, threads or machine: every decision is made in float64 on the pair itself (jobs/similarity).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.runtime.device import gpu_memory_for
from jobs.similarity.coded import Coded, fitted_screen
from jobs.similarity.exact import Doubles, Floats, Rows
from jobs.similarity.screens import Screen
from jobs.similarity.search import Pairs, Search, searching
from jobs.similarity.tile import Tile
from jobs.similarity.vector_index import VectorIndex

EQUAL = 1 - 1e-9  # two vectors of one prompt that differ by rounding alone are duplicates, also at a threshold of 1

KEPT = -1  # in the place of a witness


@dataclass(frozen=True, slots=True)
class Decisions:
    """For every row, in order: `witness` is -1 where it was kept, else the row of the closest prompt kept before it
    (the earliest of equals); `cosine` is to that one, -1 where none was as close as the threshold."""

    witness: Rows
    cosine: Doubles

    @property
    def kept(self) -> NDArray[np.bool_]:
        return self.witness < 0


def greedy(
    vectors: Floats,
    threshold: float,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    threads: int = 1,
    device: str = "cpu",
) -> Decisions:
    """Decide over vectors, float32 of shape (n, d), in their order; `on_progress` gets the rows decided and all.

    Raises BadData for a vector that is zero or not finite.
    """
    screen = fitted_screen(vectors, threshold, device)
    deciding = Deciding(len(vectors), threshold)
    with searching(screen, threads) as search:
        own = VectorIndex(screen, vectors.shape[1])
        deciding.decide(
            in_blocks(vectors, screen), own, search, on_progress=lambda done: on_progress(done, len(vectors))
        )
    return Decisions(deciding.witness, deciding.cosine)


def in_blocks(vectors: Floats, screen: Screen) -> Iterator[tuple[int, Coded]]:
    """The vectors coded, as many at a time as the screen compares, each with the row of its first; raises BadData."""
    for start in range(0, len(vectors), screen.block_rows):
        yield start, Coded.of(vectors[start : start + screen.block_rows], screen, start)


def gpu_memory_to_compare() -> AbstractContextManager[None]:
    """Raises BadConfiguration where the GPU has too little memory for what is compared here."""
    return gpu_memory_for("the kept vectors, 1 KB each, and 6 GB besides", "set device: cpu, or use a larger GPU")


class Deciding:
    """Rows that are compared with what was kept before them, and then decided among themselves.

    A witness among these rows has the number of its row plus `first`; smaller numbers are of those kept before.
    """

    def __init__(self, count: int, threshold: float, first: int = 0) -> None:
        self.threshold, self.first = min(threshold, EQUAL), first
        self._level = np.array(self.threshold)
        self.witness: Rows = np.full(count, KEPT)
        self.cosine: Doubles = np.full(count, -1.0)

    @property
    def kept(self) -> Rows:
        """The rows that are kept, of those that were compared so far."""
        return np.flatnonzero(self.witness == KEPT)

    def compare(self, start: int, coded: Coded, index: VectorIndex, number: int, search: Search) -> None:
        """Compare the rows from `start` on with an index of what was kept before, whose first has this number."""
        for pairs in search.pairs(Tile.of(coded, search.screen), index.tiles(), self._level):
            self._note(start, pairs, number + pairs.others)

    def decide(
        self,
        blocks: Iterable[tuple[int, Coded]],
        own: VectorIndex,
        search: Search,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Decide the rows in order among themselves; what is kept is added to `own`."""
        numbers = np.empty(len(self.witness), np.int64)  # of what is in `own`
        for start, coded in blocks:
            block = Tile.of(coded, search.screen)
            for pairs in search.pairs(block, own.tiles(), self._level):
                self._note(start, pairs, numbers[pairs.others])
            self._decide_block(start, search.pairs_within(block, self._level))
            kept = np.flatnonzero(self.witness[start : start + len(coded)] == KEPT)
            numbers[len(own) : len(own) + len(kept)] = self.first + start + kept
            own.add(coded[kept])
            on_progress(start + len(coded))

    def _note(self, start: int, pairs: Pairs, numbers: Rows) -> None:
        """Note the closest of each row; of equals the first that comes."""
        close = np.flatnonzero(pairs.cosines >= self.threshold)
        rows, cosines, numbers = start + pairs.rows[close], pairs.cosines[close], numbers[close]
        order = np.lexsort((numbers, -cosines, rows))
        rows, cosines, numbers = rows[order], cosines[order], numbers[order]
        best = np.flatnonzero(np.diff(rows, prepend=-1))
        better = best[cosines[best] > self.cosine[rows[best]]]
        self.witness[rows[better]], self.cosine[rows[better]] = numbers[better], cosines[better]

    def _decide_block(self, start: int, within: Pairs) -> None:
        """Decide the rows of a block, each after all those before it; pairs come in the order of their rows."""
        close = within.cosines >= self.threshold
        rows, others = start + within.rows[close], start + within.others[close]
        for row, other, cosine in zip(rows.tolist(), others.tolist(), within.cosines[close].tolist(), strict=True):
            if self.witness[other] == KEPT and cosine > self.cosine[row]:
                self.witness[row], self.cosine[row] = self.first + other, cosine
