"""Plain text, one prompt a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.rows import AnyRow, BadRow, row_of


class Text(TextSource):
    """One prompt a line; empty lines are dropped."""

    kind: Literal["text"]

    def rows(self, file: File) -> Iterator[AnyRow]:
        with self.lines(file) as lines:
            for line in lines:
                yield line if isinstance(line, BadRow) else row_of(*line)
