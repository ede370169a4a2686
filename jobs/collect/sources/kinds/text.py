"""Plain text, one prompt a line."""

from __future__ import annotations

from typing import Literal

from jobs.collect.sources.base import TextSource
from jobs.collect.sources.rows import AnyRow, row_of


class Text(TextSource):
    """One prompt a line; empty lines are dropped."""

    kind: Literal["text"]

    def row(self, number: int, text: str) -> AnyRow:
        return row_of(number, text)
