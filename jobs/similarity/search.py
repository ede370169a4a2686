"""All pairs of a block of vectors and an index whose cosine can be at or above a level, decided in float64.

A tile's codes are multiplied with the block's; the few pairs that pass are checked in float32 with a margin larger than
its rounding, and those that pass again get their exact cosine. So no pair is missed, and none is wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.similarity.exact import Doubles, Floats, Rows, cosines_of
from jobs.similarity.half_screen import HalfScreen
from jobs.similarity.screens import Screen
from jobs.similarity.tile import Tile

MARGIN = 1e-4  # 384 products of unit vectors in float32 err by at most 384 * 2^-24 = 2.3e-5
_DENSE = 0.02  # of a tile's pairs; with more left to check one whole float32 product is faster
_CHECKED_AT_ONCE = 1_024  # pairs

Exact = Callable[[Floats, Rows, Floats, Rows], Doubles]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows of a block and of an index with their cosines; arrays of shape (n,)."""

    rows: Rows
    others: Rows
    cosines: Doubles


class Search:
    """Compares blocks with tiles in threads of its own, each with torch on one thread.

    `exact` computes what is returned of a pair: its cosine, or for unit vectors as well its inner product.
    """

    def __init__(self, screen: Screen, threads: int, exact: Exact) -> None:
        self.screen, self._exact = screen, exact
        self._pool = ThreadPoolExecutor(threads) if threads > 1 and screen.device.type == "cpu" else None
        self._own = threading.local()

    def pairs(self, block: Tile, tiles: Iterable[Tile], level: Doubles) -> Iterator[Pairs]:
        """Of each tile in turn, all pairs whose cosine is the level or more; some are less, by 0.01 at most.

        `level` is float64 of the shape () or (rows of the block, 1).
        """
        run = map if self._pool is None else self._pool.map
        return run(lambda tile: self._of_tile(block, tile, level), tiles)

    def pairs_within(self, block: Tile, level: Doubles) -> Pairs:
        """The same of the block's own rows, each with those before it."""
        return self._of_tile(block, block, level, only_earlier=True)

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()

    def _of_tile(self, block: Tile, tile: Tile, level: Doubles, *, only_earlier: bool = False) -> Pairs:
        if isinstance(self.screen, HalfScreen):
            rows, others = self._passing_on_device(self.screen, block, tile, level)
        else:
            rows, others = self._passing(block, tile, level)
        if only_earlier:
            earlier = np.flatnonzero(others < rows)
            rows, others = rows[earlier], others[earlier]
        cosines = self._exact(block.vectors, rows, tile.vectors, others)
        return Pairs(rows, others + tile.first, cosines)

    def _passing(self, block: Tile, tile: Tile, level: Doubles) -> tuple[Rows, Rows]:
        out, mask = self._buffers(len(block.codes), len(tile.codes))
        self.screen.multiply(block.codes, tile.codes, out)
        needed = self.screen.needed(level, block.slack + tile.slack)
        np.greater_equal(out.numpy()[: len(block)], needed, out=mask[: len(block)])
        mask[len(block) :] = False
        rows, others = positions_of_true(mask)
        if len(rows) > _DENSE * mask.size:
            return _dense(block, tile, level)
        return _checked(block, tile, level, rows, others)

    def _passing_on_device(self, screen: HalfScreen, block: Tile, tile: Tile, level: Doubles) -> tuple[Rows, Rows]:
        rows, others = screen.passing(block.codes, tile.codes, level, block.slack + tile.slack)
        there = np.flatnonzero((rows < len(block)) & (others < len(tile)))
        return rows[there], others[there]

    def _buffers(self, rows: int, others: int) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        shape = rows, others
        if getattr(self._own, "shape", None) != shape:  # fresh memory costs more than what is computed into it
            self._own.shape = shape
            self._own.out = torch.empty(shape, dtype=self.screen.product_dtype)
            self._own.mask = np.empty(shape, bool)
        return self._own.out, self._own.mask


@contextmanager
def searching(screen: Screen, threads: int, exact: Exact = cosines_of) -> Iterator[Search]:
    """A search, while which torch and numpy use one thread in each of `threads`."""
    before = torch.get_num_threads()
    search = Search(screen, threads, exact)
    with threadpool_limits(1, "blas"):
        torch.set_num_threads(1)
        try:
            yield search
        finally:
            search.close()
            torch.set_num_threads(before)


def positions_of_true(mask: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Rows and columns of what is true, row by row, where nearly all is false."""
    packed = np.packbits(mask.reshape(-1))
    words = np.append(packed, np.zeros(-len(packed) % 8, np.uint8)).view(np.uint64)
    found = np.flatnonzero(words)
    which, bits = np.nonzero(np.unpackbits(words[found].view(np.uint8)).reshape(-1, 64))
    rows, columns = np.divmod(found[which] * 64 + bits, mask.shape[1])
    return rows, columns


def _checked(block: Tile, tile: Tile, level: Doubles, rows: Rows, others: Rows) -> tuple[Rows, Rows]:
    there = np.flatnonzero((rows < len(block)) & (others < len(tile)))
    rows, others = rows[there], others[there]
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHECKED_AT_ONCE):
        some = slice(start, start + _CHECKED_AT_ONCE)
        np.einsum("nd,nd->n", block.vectors[rows[some]], tile.vectors[others[some]], out=found[some])
    found /= block.norms[rows] * tile.norms[others]
    passing = np.flatnonzero(found >= np.broadcast_to(level, (len(block), 1))[rows, 0] - MARGIN)
    return rows[passing], others[passing]


def _dense(block: Tile, tile: Tile, level: Doubles) -> tuple[Rows, Rows]:
    rows, others = np.nonzero(rounded_cosines(block, tile) >= level - MARGIN)
    return rows, others


def rounded_cosines(block: Tile, tile: Tile) -> Floats:
    """The cosines of all pairs in float32, of shape (block, tile); wrong by less than `MARGIN`."""
    found: Floats = block.vectors @ tile.vectors.T
    found /= block.norms[:, None]
    found /= tile.norms
    return found
