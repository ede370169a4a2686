"""Plain text, one prompt a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import BadRow, File, Row, TextSource, row_of


class Text(TextSource):
    """One prompt a line; empty lines are dropped."""

    kind: Literal["text"]

    def rows(self, file: File) -> Iterator[Row | BadRow]:
        with self.lines(file) as lines:
            for number, line in enumerate(lines, 1):
                yield row_of(number, line)
