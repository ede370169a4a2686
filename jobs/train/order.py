"""The order of training samples: a pure function of seed and epoch, so that any step can be continued from.

Things are put in the order of a hash of their names, which unlike a random generator's output never changes with a
library's version, and needs no state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from jobs.shards.records import Shard


@dataclass(frozen=True, slots=True)
class Window:
    """Shards whose samples are mixed with each other, and how many of these are already done with."""

    epoch: int
    shards: tuple[Shard, ...]
    skip: int = 0


def windows(shards: Sequence[Shard], *, seed: int, epoch: int, size: int, skip: int = 0) -> Iterator[Window]:
    """An epoch's windows of `size` shards after its first `skip` samples; nothing is read to find them."""
    shuffled = sorted(shards, key=lambda shard: sort_key(seed, epoch, shard.name))
    for start in range(0, len(shuffled), size):
        window = tuple(shuffled[start : start + size])
        count = sum(shard.samples for shard in window)
        if skip < count:
            yield Window(epoch, window, skip)
        skip = max(0, skip - count)


def sort_key(seed: int, epoch: int, name: str) -> bytes:
    """Where something stands in the order of an epoch."""
    return blake2b(f"{seed}/{epoch}/{name}".encode(), digest_size=16).digest()


def random_of(*what: int | str) -> Random:
    """A generator of its own for each purpose, the same whenever it is asked for."""
    return Random("/".join(map(str, what)))  # noqa: S311


def seed_of_step(seed: int, step: int, process: int) -> int:
    """What torch's generator is seeded with before a step, 0 <= seed < 2^63."""
    return int.from_bytes(blake2b(f"{seed}/{step}/{process}".encode(), digest_size=8).digest(), "big") >> 1
