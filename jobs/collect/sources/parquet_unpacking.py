"""Values from the columns that the sandboxed process sends, which is not trusted: everything has to add up."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from jobs.collect.sources.parquet_service import ODD, Column, Rows
from jobs.collect.sources.rows import Unfit
from jobs.errors import Corrupt
from jobs.runtime.sandbox.pool import Died
from jobs.shards.strict_json import decode

_NUMBERS = {"int64": "q", "uint64": "Q", "float64": "d"}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A column and its parts of the body."""

    column: Column
    lengths: bytes
    content: bytes
    odd: bytes


def columns_in(rows: Rows, body: bytes) -> list[list[Any]]:
    """The values of each column: text, bytes, numbers, lists of them, None, or Unfit; raises Died."""
    if sum(sum(column.sizes) for column in rows.columns) != len(body):
        raise _wrong("columns whose sizes do not add up")
    pieces = _pieces(rows.columns, body)
    found = [_values(piece, pieces) for piece in pieces]
    if any(len(values) != rows.rows for values in found):
        raise _wrong(f"columns that have not all {rows.rows:,} rows")
    return found


def _pieces(columns: tuple[Column, ...], body: bytes) -> Iterator[_Piece]:
    start = 0
    for column in columns:
        ends = list(accumulate(column.sizes, initial=start))
        yield _Piece(column, *(body[a:b] for a, b in pairwise(ends)))
        start = ends[-1]


def _values(piece: _Piece, others: Iterator[_Piece]) -> list[Any]:
    if piece.column.type == "list":
        return _cut(_flat(next(others, None)), piece)
    if piece.column.type == "image":
        content, paths = _flat(next(others, None)), _flat(next(others, None))
        if len(content) != len(paths):
            raise _wrong("images of which not each has its two parts")
        return [path if data is None else data for data, path in zip(content, paths, strict=True)]
    return _flat(piece)


def _flat(piece: _Piece | None) -> list[Any]:
    if piece is None or piece.column.type in ("list", "image"):
        raise _wrong("a column whose parts are missing")
    kind = piece.column.type
    if kind == "text":
        values = _cut(_text(piece.content), piece)
    elif kind == "bytes":
        values = _cut(piece.content, piece)
    else:
        values = _numbers(kind, piece)
    if piece.odd:
        _put_odd(values, piece.odd)
    return values


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _wrong("text that is not UTF-8") from error


def _cut(whole: Any, piece: _Piece) -> list[Any]:
    """The texts, bytes or lists of these lengths, None where one is -1."""
    lengths = _array("q", piece.lengths)
    nulls = lengths.count(-1)
    if min(lengths, default=0) < -1 or sum(lengths) + nulls != len(whole):
        raise _wrong("lengths that do not add up")
    if not nulls:
        return [whole[a:b] for a, b in pairwise(accumulate(lengths, initial=0))]
    ends = accumulate((max(length, 0) for length in lengths), initial=0)
    return [None if length < 0 else whole[a:b] for length, (a, b) in zip(lengths, pairwise(ends), strict=True)]


def _numbers(kind: str, piece: _Piece) -> list[Any]:
    valid, content = piece.lengths, piece.content
    if kind == "bool":
        if not set(content) <= {0, 1}:
            raise _wrong("what is neither true nor false")
        values: list[Any] = [value == 1 for value in content]
    else:
        values = _array(_NUMBERS[kind], content).tolist()
    if not valid:
        return values
    if len(valid) != len(values):
        raise _wrong("a number of nulls that cannot be")
    return [value if there else None for value, there in zip(values, valid, strict=True)]


def _array(code: str, content: bytes) -> array[Any]:
    numbers = array(code)
    if len(content) % numbers.itemsize:
        raise _wrong("a part of a number")
    numbers.frombytes(content)
    return numbers


def _put_odd(values: list[Any], odd: bytes) -> None:
    try:
        found = decode(ODD, odd, "a message", "reasons")
    except Corrupt as error:
        raise _wrong("what was not asked for") from error
    for number, reason in found:
        if not 0 <= number < len(values):
            raise _wrong("a reason for a value that it did not send")
        values[number] = Unfit(reason)


def _wrong(what: str) -> Died:
    return Died(f"sent {what}")
