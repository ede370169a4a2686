"""What CSV and TSV share: a header line, and rows that cannot be read without losing those after them."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from jobs.collect.sources.base import File, Line, TextSource, column_named
from jobs.collect.sources.rows import AnyRow, BadRow, row_of
from jobs.errors import BadData

_READ_AGAIN = 64 << 20  # characters that may be read again beyond as many as were read
_OTHERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}

Fields = tuple[int, list[str]]  # of a row: the number of its last line, and its fields


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file's rows are written."""

    dialect: type[csv.Dialect]
    delimiter: str = ","
    header: bool = True


class Delimited(TextSource):
    """A source of rows of named columns."""

    added_later = TextSource.added_later | {"header"}

    column: Annotated[int, Field(ge=1)] | str = "prompt"
    """The column that holds the prompt: its name, in any case where none has it exactly; of a file without a header
    its number, counted from 1."""

    header: bool = True
    """Whether the first line names the columns."""

    dialect: ClassVar[type[csv.Dialect]]

    @model_validator(mode="after")
    def _column_is_a_number_without_a_header(self) -> Self:
        if self.header == isinstance(self.column, int):
            required = (
                "its name, in quotation marks where it is made of digits" if self.header else "its number, from 1"
            )
            raise ValueError(
                f"column: of a file {'with' if self.header else 'without'} a header, {required}, is required, "
                f"not {self.column!r}"
            )
        return self

    def layout(self) -> Layout:
        """How the rows are written."""
        raise NotImplementedError

    def rows(self, file: File) -> Iterator[AnyRow]:
        for row in table_rows(self, file, [self.column], self.layout()):
            yield row if isinstance(row, BadRow) else self.of_prompt(row[0], row[1][0])

    def of_prompt(self, number: int, prompt: str) -> AnyRow:
        """The row of a line of that number, which has that in its column."""
        return row_of(number, prompt)


def table_rows(
    source: TextSource, file: File, columns: Sequence[int | str], layout: Layout
) -> Iterator[Fields | BadRow]:
    """The fields of these columns in every row; empty lines are no rows. Raises BadData without the columns."""
    rows = _all_rows(source, file, layout)
    first = next(rows, None)
    if not layout.header:
        numbers = [column for column in columns if isinstance(column, int)]
        yield from _of_columns(source, file, rows if first is None else chain([first], rows), numbers)
        return
    if first is None:
        raise BadData(f"source {source.name}: {file.label} is empty; a line with the names of its columns is required")
    if isinstance(first, BadRow):
        raise BadData(f"source {source.name}: {file.label} has no header of {source.kind}: {first.reason}")
    names = first[1]
    positions = [_position(source, file, names, str(column), layout) for column in columns]
    for row in rows:
        if not isinstance(row, BadRow) and len(row[1]) != len(names):
            row = BadRow(row[0], f"it has {len(row[1])} fields, the header has {len(names)}")
        yield row if isinstance(row, BadRow) else (row[0], [row[1][position] for position in positions])


def _of_columns(
    source: TextSource, file: File, rows: Iterator[Fields | BadRow], numbers: Sequence[int]
) -> Iterator[Fields | BadRow]:
    width = 0  # of the first row
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        if not width and (width := len(row[1])) < max(numbers):
            raise BadData(f"source {source.name}: {file.label} has {width} columns, there is no column {max(numbers)}")
        if len(row[1]) == width:
            yield row[0], [row[1][number - 1] for number in numbers]
        else:
            yield BadRow(row[0], f"it has {len(row[1])} fields, the first row has {width}")


def _position(source: TextSource, file: File, names: list[str], column: str, layout: Layout) -> int:
    def hint() -> str:
        return source.other_encoding(file) or _other_layout(names, layout)

    return names.index(column_named(source, file, names, column, hint))


def _other_layout(names: list[str], layout: Layout) -> str:
    """What to do where a header shows that the file is written in another way; else empty."""
    if all(len(name) > 1 and name[0] == name[-1] == '"' for name in names):
        return "its fields are quoted: set `quoting: standard` of the source"
    if len(names) == 1:
        for delimiter, what in _OTHERS.items():
            if delimiter in names[0] and delimiter != layout.delimiter:
                wanted = delimiter.replace("\t", "\\t")
                return f'its fields seem to be separated by {what}: set `kind: csv` and `delimiter: "{wanted}"`'
        if " " in names[0].strip():
            return "if its first line is no header, set `header: false` and `column: 1`"
    return ""


def _all_rows(source: TextSource, file: File, layout: Layout) -> Iterator[Fields | BadRow]:
    """All rows that are not empty, a header too, with all their fields."""
    csv.field_size_limit(source.limits.field_characters)  # Python's default of 131,072 is shorter than some rows
    with source.lines(file) as physical:
        lines = _Lines(physical, source.limits.line_characters)
        reader = csv.reader(lines, layout.dialect, delimiter=layout.delimiter, strict=True)
        while True:
            lines.begin()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except (csv.Error, _NoLine) as error:
                yield from lines.recover(str(error))
                continue
            if fields:
                yield lines.number, fields


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
