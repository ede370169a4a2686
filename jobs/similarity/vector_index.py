"""An index of vectors that others are compared with, in tiles of one size; it grows at its end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from jobs.similarity.coded import Coded
from jobs.similarity.exact import Floats
from jobs.similarity.screens import Screen
from jobs.similarity.tile import Tile

_CHUNK = 16_384  # vectors, a multiple of every tile's
_CODED_AT_ONCE = 1_024


class VectorIndex:
    """Vectors of d numbers; each takes 4 d bytes, and about 140 for its code on a screen of 8-bit numbers; on a GPU
    1,000 bytes there.
    """

    def __init__(self, screen: Screen, dimensions: int) -> None:
        self.screen = screen
        self._dimensions = dimensions
        self._chunks: list[_Chunk] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, vectors: Floats) -> None:
        """Add vectors, float32 of shape (n, d); raises BadData for one that is zero or not finite."""
        for start in range(0, len(vectors), _CODED_AT_ONCE):
            self.add(Coded.of(vectors[start : start + _CODED_AT_ONCE], self.screen, self._count))

    def add(self, coded: Coded) -> None:
        """Add vectors that are coded on this screen."""
        done = 0
        while done < len(coded):
            position = self._count % _CHUNK
            if position == 0:
                self._chunks.append(_Chunk(self._dimensions, self.screen))
            count = min(_CHUNK - position, len(coded) - done)
            self._chunks[-1].fill(position, coded[done : done + count])
            done, self._count = done + count, self._count + count

    def tiles(self) -> Iterator[Tile]:
        """All its vectors, in order."""
        size = self.screen.tile_rows
        for first in range(0, self._count, size):
            chunk, position = divmod(first, _CHUNK)
            yield self._chunks[chunk].tile(position, first, min(size, self._count - first), size)


class _Chunk:
    def __init__(self, dimensions: int, screen: Screen) -> None:
        self.vectors: Floats = np.empty((_CHUNK, dimensions), np.float32)  # takes memory as it is filled
        self.norms: Floats = np.empty(_CHUNK, np.float32)
        self.codes = torch.zeros((_CHUNK, screen.width), dtype=screen.dtype, device=screen.device)
        self.slack: Floats = np.zeros(_CHUNK, np.float32)

    def fill(self, position: int, coded: Coded) -> None:
        here = slice(position, position + len(coded))
        self.vectors[here], self.norms[here] = coded.vectors, coded.norms
        self.codes[here], self.slack[here] = coded.codes, coded.slack

    def tile(self, position: int, first: int, count: int, size: int) -> Tile:
        filled = slice(position, position + count)
        slack = float(self.slack[filled].max())
        return Tile(first, self.vectors[filled], self.norms[filled], self.codes[position : position + size], slack)
