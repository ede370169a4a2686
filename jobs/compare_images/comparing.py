"""Compares the pictures of each split with all that stay of the splits before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.compare_images.contract import Match
from jobs.similarity.closest import AnyIndex, closest_in, index_of

_DECIMALS = 6

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SignedShard:
    """The pictures of one shard: their keys, and their signatures, float32 of shape (n, d)."""

    name: str
    keys: Sequence[str]
    vectors: Floats


@dataclass(frozen=True, slots=True)
class Found:
    """A picture, the closest one of an earlier split, and whether it is left out for that."""

    key: str
    match: Match
    left_out: bool


@dataclass(slots=True)
class Earlier:
    """The pictures of earlier splits that stay: as many held-out ones as there are, 4 d bytes each and some more."""

    keys: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    _vectors: list[Floats] = field(default_factory=list)

    def add(self, split: str, shards: Iterable[SignedShard], left_out: frozenset[str]) -> None:
        """Add those pictures of a split that stay."""
        for shard in shards:
            staying = [row for row, key in enumerate(shard.keys) if key not in left_out]
            if staying:
                self.keys += [shard.keys[row] for row in staying]
                self.splits += [split] * len(staying)
                self._vectors.append(shard.vectors[staying])

    def index(self) -> AnyIndex | None:
        """What to compare with; None while there is nothing."""
        return index_of(self._vectors) if self._vectors else None


def compare(
    split: str, shards: Iterable[SignedShard], earlier: Earlier, threshold: float, *, threads: int
) -> Iterator[Found]:
    """For every picture of a split the closest of the earlier ones, exactly; nothing where there are none.

    Cosines are rounded from float64, so they do not depend on threads or on how pictures are cut into shards.
    """
    index = earlier.index()
    if index is None:
        return
    for shard in shards:
        cosines, rows = closest_in(index, shard.vectors, 1, threads=threads)
        for key, cosine, row in zip(shard.keys, cosines[:, 0].tolist(), rows[:, 0].tolist(), strict=True):
            match = Match(
                split=split,
                shard=shard.name,
                witness=earlier.keys[row],
                witness_split=earlier.splits[row],
                cosine=round(cosine, _DECIMALS),
            )
            yield Found(key, match, cosine >= threshold)
