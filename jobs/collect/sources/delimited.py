"""What CSV and TSV share: a header line, and rows that cannot be read without losing those after them."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import ClassVar

from jobs.collect.sources.base import File, Line, TextSource, require_column
from jobs.collect.sources.rows import AnyRow, BadRow, row_of
from jobs.errors import BadData

_READ_AGAIN = 64 << 20  # characters that may be read again beyond as many as were read


class Delimited(TextSource):
    """A source of rows of named columns."""

    column: str = "prompt"
    """The column that holds the prompt."""

    dialect: ClassVar[type[csv.Dialect]]

    def rows(self, file: File) -> Iterator[AnyRow]:
        csv.field_size_limit(self.limits.field_characters)  # Python's default of 131,072 is shorter than some rows
        with self.lines(file) as physical:
            lines = _Lines(physical, self.limits.line_characters)
            reader = csv.reader(lines, self.dialect, strict=True)
            try:
                header = next(reader, [])
            except (csv.Error, _NoLine) as error:
                raise BadData(f"source {self.name}: {file.label} has no header of {self.kind}: {error}") from error
            require_column(self, file, header, self.column)
            position = header.index(self.column)
            while True:
                lines.begin()
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except (csv.Error, _NoLine) as error:
                    yield from lines.recover(str(error))
                    continue
                if len(row) != len(header):
                    yield BadRow(lines.number, f"it has {len(row)} fields, the header has {len(header)}")
                else:
                    yield row_of(lines.number, row[position])


class _NoLine(Exception):
    """A line cannot be read, or the row has too many of them."""


class _Lines:
    """The physical lines of rows, which a row gives back when it cannot be read: a quotation mark that is not closed
    must cost its own line, not all up to the next one."""

    def __init__(self, lines: Iterator[Line], most: int) -> None:
        self._lines, self._most = lines, most
        self._waiting: deque[Line] = deque()
        self._taken: list[Line] = []
        self._characters = self._read = self._read_again = 0
        self.number = 0  # of the last line that was taken

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self._taken.append(line)
        if isinstance(line, BadRow):
            raise _NoLine(line.reason)
        self.number, text = line
        self._characters += len(text)
        if self._characters > self._most:
            raise _NoLine(f"it has more than {self._most:,} characters")
        return text

    def begin(self) -> None:
        """A row begins."""
        self._read += self._characters
        self._taken, self._characters = [], 0

    def recover(self, reason: str) -> Iterator[BadRow]:
        """The lines that are lost with the row: its first one. Those after it are read again, as rows of their own.

        All of them are lost where so many rows were given back that the whole would take time without end.
        """
        others = self._taken[1:]
        self._read_again += self._characters
        if self._read_again > self._read + _READ_AGAIN:
            others = []
        for line in self._taken[: len(self._taken) - len(others)]:
            yield line if isinstance(line, BadRow) else BadRow(line[0], reason)
        self._waiting.extendleft(reversed(others))
        self._characters = 0 if others else self._characters
