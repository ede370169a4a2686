"""Counts of what is frequent among many values, in bounded memory: lossy counting (Manku and Motwani 2002)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_EVERY = 1_000_000  # values; about twice as many counts are held at once, 182 bytes each of fragments


class Frequent(Generic[T]):
    """Counts values. After every `every` of them what was seen seldom is forgotten.

    Before the first time counts are exact. Later a count is never too low and at most `times` too high, and a value
    that was seen more often than `times` is never missing.
    """

    def __init__(self, every: int = _EVERY) -> None:
        self.counts: dict[T, int] = {}
        self.times = 0  # that something was forgotten: how much too high a count is at most
        self._every = every
        self._seen = 0

    def update(self, values: Iterable[T]) -> None:
        """Count each of the values once more."""
        for value in values:
            self.counts[value] = self.counts.get(value, self.times) + 1
            self._seen += 1
            if self._seen % self._every == 0:
                self.times += 1
                self.counts = {one: count for one, count in self.counts.items() if count > self.times}
