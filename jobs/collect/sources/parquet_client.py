"""Parquet files as columns of values, decoded by a sandboxed process; parquet_service.py says what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter

from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.parquet_service import (
    NAMES,
    PARQUET,
    VALUES,
    ColumnsRequest,
    End,
    OpenFile,
    Rows,
    Table,
    Unreadable,
)
from jobs.collect.sources.rows import Unfit
from jobs.errors import Corrupt
from jobs.runtime.sandbox.pool import Bounds, Child, Died
from jobs.shards.strict_json import decode

_MOST = 1 << 30  # bytes of one message

T = TypeVar("T")


class NotParquet(Exception):
    """A file cannot be read as parquet, or not to its end; the text says why."""


def columns_of(file: BinaryIO, limits: SourceLimits) -> tuple[list[str], int]:
    """The names of all columns of an open file and the number of its rows; raises NotParquet, Refused, Died."""
    with closing(_answers(file, (), limits)) as answers:
        return _table(*next(answers))


def values_of(
    file: BinaryIO,
    columns: Sequence[str],
    limits: SourceLimits,
    check: Callable[[list[str], int], None] = lambda names, rows: None,
) -> Generator[tuple[Any, ...]]:
    """The values of these columns in every row of an open file: text, numbers, None, or Unfit.

    `check` gets what `columns_of` returns, before the first row. Raises NotParquet, Refused, Died.
    """
    number = 0
    with closing(_answers(file, columns, limits)) as answers:
        check(*_table(*next(answers)))
        for answer, body in answers:
            if isinstance(answer, End) and answer.sent != number:
                raise Died(f"sent {number:,} rows and said that they were {answer.sent:,}")
            if isinstance(answer, Rows):
                for values in _in_body(VALUES, body):
                    if len(values) != len(columns):
                        raise Died(f"sent {len(values):,} values in place of {len(columns):,}")
                    number += 1
                    yield tuple(map(_fit, values))


def _answers(
    file: BinaryIO, columns: Sequence[str], limits: SourceLimits
) -> Generator[tuple[Table | Rows | End, bytes]]:
    """What the process answers, with the bodies, up to its end."""
    settings = OpenFile(file=file.fileno(), characters=limits.line_characters)
    bounds = Bounds(limits.seconds, limits.memory_mib << 20)
    with closing(Child(PARQUET, settings, bounds, files=[file.fileno()])) as child:
        child.ask(ColumnsRequest(columns=tuple(columns)))
        while True:
            answer, body = child.answer(_MOST)
            if isinstance(answer, Unreadable):
                raise NotParquet(answer.error)
            yield answer, body
            if isinstance(answer, End):
                return


def _table(answer: Table | Rows | End, body: bytes) -> tuple[list[str], int]:
    if not isinstance(answer, Table):
        raise Died("sent what was not asked for")
    return _in_body(NAMES, body), answer.rows


def _in_body(model: TypeAdapter[T], body: bytes) -> T:
    try:
        return decode(model, body, "a message", "what was asked for")
    except Corrupt as error:
        raise Died("sent what was not asked for") from error


def _fit(value: Any) -> Any:
    return Unfit(str(value[0])) if isinstance(value, list) else value
