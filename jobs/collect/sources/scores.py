"""Filters of a source by what somebody has scored a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.collect.sources.rows import BadRow, LeftOut, Unfit


@dataclass(frozen=True, slots=True)
class ScoreFilter:
    """Leaves out rows whose score in `column` is below `least` or above `most`, or no number; counts them by a name."""

    column: str
    counted_as: str
    least: float = -math.inf
    most: float = math.inf
    keeps_null: bool = False

    def refusal(self, number: int, values: Mapping[str, Any]) -> LeftOut | BadRow | None:
        """Why a row is not taken, or None where it is."""
        score = values[self.column]
        if isinstance(score, int | float):
            return None if self.least <= score <= self.most else LeftOut(number, self.counted_as)  # NaN is in no range
        if score is None:
            return None if self.keeps_null else LeftOut(number, self.counted_as)
        what = score.reason if isinstance(score, Unfit) else f"is not a number but {type(score).__name__}"
        return BadRow(number, f"its {self.column} {what}")


def refused(filters: list[ScoreFilter], number: int, values: Mapping[str, Any]) -> LeftOut | BadRow | None:
    """The first refusal of a row, or None."""
    for one in filters:
        if refusal := one.refusal(number, values):
            return refusal
    return None
