"""The order in which prompts are gone through: source by source as configured, and each as its rows stand in it.

Embedded shards come in the order of sources, files and rows; within one, samples are sorted by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import DIMENSIONS
from jobs.dedup.exclusion import Exclusion
from jobs.embed.contract import Embedded
from jobs.errors import BadData
from jobs.runtime.arrays import from_npy
from jobs.runtime.prefetch import prefetch
from jobs.shards.dataset import Dataset
from jobs.shards.keys import KEY_DIGITS
from jobs.shards.records import Shard
from jobs.similarity.exact import Floats, usable

ORDER = "source (as configured, generated last), then row in the source"

Keys = NDArray[np.bytes_]
KEYS = f"S{KEY_DIGITS}"

_PREFETCHED = 2  # shards that are read before they are asked for


@dataclass(frozen=True, slots=True)
class Ordered:
    """The prompts of a shard in the order of their rows: their source, keys, and vectors, float32 of shape (n, 384)."""

    source: str
    keys: Keys
    vectors: Floats
    excluded: int  # prompts of the shard that are not among these


def read_in_order(embedded: Embedded[Dataset], shards: Iterable[Shard], exclusion: Exclusion) -> Iterator[Ordered]:
    """The prompts of each of the shards; raises Corrupt, NotFound."""
    return prefetch(lambda shard: ordered(embedded, shard, exclusion), shards, threads=_PREFETCHED, depth=_PREFETCHED)


def ordered(embedded: Embedded[Dataset], shard: Shard, exclusion: Exclusion) -> Ordered:
    """The prompts of one shard; raises Corrupt, NotFound, and BadData for a vector without direction."""
    vectors = np.empty((shard.samples, DIMENSIONS), np.float32)
    rows, keys, source = np.empty(shard.samples, np.int64), list[str](), ""
    for sample in embedded.prompts.read(shard):
        origin = sample.value
        source = origin.source
        if not exclusion.excludes(sample.key, origin):
            rows[len(keys)], vectors[len(keys)] = origin.row, from_npy(sample["npy"])
            keys.append(sample.key)
    rows, vectors = rows[: len(keys)], vectors[: len(keys)]
    if len(usable(vectors)) < len(vectors):
        bad = next(key for key, vector in zip(keys, vectors, strict=True) if not len(usable(vector[None])))
        raise BadData(f"{shard.name}: the vector of {bad} is zero or not finite, so it has no cosine; embed it again")
    order = np.argsort(rows, kind="stable")  # of equal rows, which no source gives, the smaller key first
    return Ordered(source, np.array(keys, KEYS)[order], vectors[order], shard.samples - len(keys))
