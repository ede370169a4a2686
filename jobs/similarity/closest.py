"""The closest of many vectors, exactly: screened, checked and decided like pairs, at a level that rises on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from jobs.similarity.coded import Coded, fitted_screen, whole_screen
from jobs.similarity.exact import Doubles, Floats, Rows, products_of
from jobs.similarity.faiss_index import FaissIndex
from jobs.similarity.screens import Screen
from jobs.similarity.search import MARGIN, Pairs, Search, rounded_cosines, searching
from jobs.similarity.tile import Tile

_FEW = 500  # queries; for so few turning a vector onto axes (2 us) takes longer than whole products with it
_BETWEEN = 16  # tiles between two times that the level is raised


@dataclass(frozen=True, slots=True)
class CodedVectors:
    """Vectors of d numbers in which to look up the closest: as they were given, and d bytes for the code of each."""

    screen: Screen
    tiles: list[Tile]


AnyIndex = CodedVectors | FaissIndex


def index_of(blocks: Iterable[Floats], device: str = "cpu") -> AnyIndex:
    """An index of the unit vectors of all blocks, float32 arrays of shape (any, d), in which to look up the closest.

    There is at least one block. On `cuda` their products are computed on the GPU.
    """
    remaining = iter(blocks)
    first = next(remaining)
    every = chain([first], remaining)
    if device != "cpu":
        return FaissIndex.of(every, first.shape[1], device)
    screen = whole_screen(first)
    return CodedVectors(screen, list(_tiles(every, screen)))


def closest_in(index: AnyIndex, queries: Floats, count: int, *, threads: int = 1) -> tuple[Floats, Rows]:
    """The same as `closest`, in an index."""
    if isinstance(index, FaissIndex):
        return index.closest(queries, count)
    return _look_up(index.tiles, queries, count, index.screen, threads)


def vectors_at(index: AnyIndex, rows: Rows) -> Floats:
    """The vectors of these rows of an index, float32 of shape (n, d); rows of shape (n,), n >= 1."""
    if isinstance(index, FaissIndex):
        return index.vectors_at(rows)
    firsts = np.array([tile.first for tile in index.tiles])
    tiles = np.searchsorted(firsts, rows, side="right") - 1
    return np.stack([index.tiles[tile].vectors[row - firsts[tile]] for tile, row in zip(tiles, rows, strict=True)])


def closest(
    blocks: Iterable[Floats], queries: Floats, count: int, *, threads: int = 1, device: str = "cpu"
) -> tuple[Floats, Rows]:
    """The `count` rows of all blocks with the largest cosine with each query, best first.

    Args:
        blocks: unit vectors, float32 arrays of shape (any, d); rows are numbered through all of them, and each block
            is looked through before the next is asked for; on `cuda` all are held.
        queries: unit vectors, float32 of shape (n, d).

    Returns:
        (cosines, row numbers), each of shape (n, the smaller of `count` and the number of rows). Cosines are float32,
        rounded from float64; of equal ones the earlier row comes first, so the outcome does not depend on how the rows
        are cut into blocks.
    """
    if device != "cpu":
        return closest_in(index_of(blocks, device), queries, count)
    screen = whole_screen(queries) if len(queries) <= _FEW else fitted_screen(queries)
    return _look_up(_tiles(blocks, screen), queries, count, screen, threads)


def _look_up(tiles: Iterable[Tile], queries: Floats, count: int, screen: Screen, threads: int) -> tuple[Floats, Rows]:
    found = _Closest(queries, count, screen)
    with searching(screen, threads, products_of) as search:
        found.look_through(iter(tiles), search)
    return found.cosines, found.rows


def _tiles(blocks: Iterable[Floats], screen: Screen) -> Iterator[Tile]:
    first = 0
    for block in blocks:
        for start in range(0, len(block), screen.tile_rows):
            coded = Coded.of(block[start : start + screen.tile_rows], screen, first)
            yield Tile.of(coded, screen, first)
            first += len(coded)


class _Closest:
    """The closest of each query so far."""

    def __init__(self, queries: Floats, count: int, screen: Screen) -> None:
        self.cosines = np.empty((len(queries), 0), np.float32)
        self.rows: Rows = np.empty((len(queries), 0), np.int64)
        self._count = count
        parts = [slice(start, start + screen.block_rows) for start in range(0, len(queries), screen.block_rows)]
        self._blocks = [(part, Tile.of(Coded.of(queries[part], screen, part.start), screen)) for part in parts]

    def look_through(self, tiles: Iterator[Tile], search: Search) -> None:
        at_once = 1
        while group := list(islice(tiles, at_once)):
            at_once = min(2 * at_once, _BETWEEN)
            found = [
                (part.start, pairs)
                for part, block in self._blocks
                for pairs in search.pairs(block, group, self._level(part, block, group[0]))
            ]
            self._merge(found)

    def _level(self, part: slice, block: Tile, tile: Tile) -> Doubles:
        """What has to be reached to be among the closest, of each query."""
        if self.rows.shape[1] == self._count:
            return self.cosines[part, -1:].astype(np.float64)
        if len(tile) < self._count:
            return np.full((len(block), 1), -2.0)
        cosines = rounded_cosines(block, tile)  # else all pairs with the first tile would be computed in float64
        return np.partition(cosines, -self._count)[:, [-self._count]].astype(np.float64) - 2 * MARGIN

    def _merge(self, found: list[tuple[int, Pairs]]) -> None:
        numbers = np.arange(len(self.rows))
        queries = np.concatenate([np.repeat(numbers, self.rows.shape[1]), *(start + one.rows for start, one in found)])
        rows = np.concatenate([self.rows.ravel(), *(one.others for _, one in found)])
        cosines = np.concatenate([self.cosines.ravel(), *(one.cosines.astype(np.float32) for _, one in found)])
        order = np.lexsort((rows, -cosines, queries))
        queries, rows, cosines = queries[order], rows[order], cosines[order]
        rank = np.arange(len(queries)) - np.searchsorted(queries, numbers)[queries]
        best = rank < min(self._count, int(np.bincount(queries, minlength=1).min(initial=self._count)))
        shape = (len(self.rows), -1)
        self.rows, self.cosines = rows[best].reshape(shape), cosines[best].reshape(shape)
