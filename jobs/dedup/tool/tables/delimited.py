"""CSV and TSV as a table whose rows keep their text: quotation marks, line breaks in fields and line ends stay."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from jobs.collect.sources.rows import Unfit
from jobs.dedup.tool.tables.columns import chosen
from jobs.dedup.tool.tables.files import LIMITS
from jobs.dedup.tool.tables.parsed import Parsed
from jobs.errors import BadConfiguration, BadData

_NO_HEADER = ", or, if the first line is no header, give its number, like --column 1"
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}

Row = tuple[str, list[str]]


def delimited(lines: Iterator[str], wanted: str | None, label: str, dialect: type[csv.Dialect]) -> Parsed:
    """CSV or TSV; empty lines are no rows. A `wanted` column that is a number, from 1, says that there is no header."""
    csv.field_size_limit(LIMITS.field_characters)
    rows = _rows(lines, dialect, label)
    first = next(rows, None)
    if first is None:
        raise BadData(f"{label} is empty; a header is required, or a first row")
    text, fields = first
    if wanted is not None and wanted.isdecimal():
        position = int(wanted) - 1
        if not 0 <= position < len(fields):
            raise BadConfiguration(f"{label} has {len(fields)} columns, there is no column {wanted}")
        numbers = tuple(str(number) for number in range(1, len(fields) + 1))
        return Parsed("", numbers, wanted, _values(_with(first, rows), position, len(fields), "the first row"))
    if wanted is None and len(fields) == 1:
        _refuse_no_header(fields[0], dialect, label)
    column = chosen(fields, wanted, label, _NO_HEADER)
    values = _values(rows, fields.index(column), len(fields), "the header")
    return Parsed(text, tuple(fields), column, values)


def _with(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _values(rows: Iterator[Row], position: int, width: int, pattern: str) -> Iterator[tuple[str, object]]:
    for text, fields in rows:
        if len(fields) == width:
            yield text, fields[position]
        else:
            yield text, Unfit(f"has {len(fields)} fields, {pattern} has {width}")


def _rows(lines: Iterator[str], dialect: type[csv.Dialect], label: str) -> Iterator[Row]:
    """Every row with its text; raises BadData where the rest cannot be told apart any more."""
    taken: list[str] = []
    count = 0  # of lines that were taken

    def taking() -> Iterator[str]:
        nonlocal count
        for line in lines:
            count += 1
            taken.append(line)
            yield line

    reader = csv.reader(taking(), dialect, strict=True)
    while True:
        begins = count + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadData(
                f"{label}: the row that begins on line {begins} cannot be read: {error}; is a quotation mark missing? "
                'One inside of a field is written twice, ""'
            ) from error
        if fields:
            yield "".join(taken), fields
        taken.clear()


def _refuse_no_header(only: str, dialect: type[csv.Dialect], label: str) -> None:
    """Raise BadConfiguration where the only column is several, or its name is no name but the first prompt."""
    for delimiter, name in _OTHER_DELIMITERS.items():
        if delimiter in only and delimiter != dialect.delimiter:
            raise BadConfiguration(
                f"{label}: the header is one column, {only!r}: its fields seem to be separated by {name} and not by "
                f"{_OTHER_DELIMITERS[dialect.delimiter]}; save it with these, or, if it is one column, name it with "
                f"--column{_NO_HEADER}"
            )
    if len(only.split()) != 1 or only.isdecimal():
        raise BadConfiguration(
            f"{label}: the only column is named {only[:60]!r}, which looks like a row and not like a header; give "
            "--column 1 if there is none, or that name as --column; a file with a prompt a line is best named .txt"
        )
