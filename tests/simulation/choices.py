"""Every decision that a schedule depends on: drawn from a seed, kept, and made again from what was kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Whole numbers below some bound. 0 is the quiet choice: nothing fails, whoever works goes on.

    With a `script` they are taken from there, and are 0 after its end: so a shorter or quieter script is a simpler
    schedule, and shrinking a failure is shortening a list.
    """

    def __init__(self, seed: int, script: Sequence[int] | None = None) -> None:
        self._random = random.Random(seed).random  # noqa: S311 - schedules are to be repeatable
        self._script = script
        self.made: list[int] = []

    def below(self, bound: int) -> int:
        """0 <= n < bound."""
        if bound <= 1:
            return 0
        if self._script is None:
            value = int(self._random() * bound)
        else:
            position = len(self.made)
            value = min(self._script[position], bound - 1) if position < len(self._script) else 0
        self.made.append(value)
        return value

    def happens(self, one_in: int) -> bool:
        """Whether something happens that does so once in so many times; never in a quiet schedule."""
        return self.below(one_in) == 1 if one_in > 1 else False

    def one_of(self, options: Sequence[T]) -> T:
        """One of several, the first in a quiet schedule."""
        return options[self.below(len(options))]
