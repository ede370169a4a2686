"""Parquet, one column of it, a few thousand rows at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, BinaryIO, Literal, TypeVar

from pydantic import TypeAdapter

from jobs.collect.sources.base import File, FileSource, require_column
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
from jobs.collect.sources.rows import AnyRow, Unfit, row_of
from jobs.errors import BadData, Corrupt
from jobs.runtime.sandbox.pool import Bounds, Child, Died, Refused
from jobs.shards.store import spooling
from jobs.shards.strict_json import decode

_MOST = 1 << 30  # bytes of one message
_TRIES = 2  # a process that ended without a reason may have been killed for another one's sake

Values = dict[str, Any]
T = TypeVar("T")


class Parquet(FileSource):
    """A text column of parquet files: text2image-multi-prompt (`text`), LAION-COCO (`top_caption`)."""

    kind: Literal["parquet"]

    column: str = "prompt"
    """The column that holds the prompt."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        for number, values in numbered_rows(self, file, [self.column]):
            yield row_of(number, values[self.column])


def numbered_rows(source: FileSource, file: File, columns: list[str]) -> Iterator[tuple[int, Values]]:
    """The rows of a parquet file, counted from 1, only these columns; raises BadData unless it is one and has them.

    A value is text, a number, None, or Unfit. Also bad data is a file that takes more than the source's limits.
    """
    number = 0
    with ExitStack() as stack:
        binary = _with_descriptor(stack.enter_context(file.binary(source.limits)), file, stack)
        for tries in range(_TRIES):
            try:
                for row, values in enumerate(_decoded(source, file, binary, columns), 1):
                    if row > number:  # else reported before the process had to be started again
                        number = row
                        yield number, values
                return
            except Refused as error:
                raise _unreadable(source, file, number, f"decoding it {error}; see `limits` of the source") from error
            except Died as error:
                if tries + 1 == _TRIES:
                    raise _unreadable(source, file, number, f"decoding it ends the process, which {error}") from error


def _decoded(source: FileSource, file: File, binary: BinaryIO, columns: list[str]) -> Iterator[Values]:
    limits = source.limits
    settings = OpenFile(file=binary.fileno(), characters=limits.line_characters)
    bounds = Bounds(limits.seconds, limits.memory_mib << 20)
    number = 0
    with closing(Child(PARQUET, settings, bounds, files=[binary.fileno()])) as child:
        child.ask(ColumnsRequest(columns=tuple(columns)))
        while True:
            answer, body = child.answer(_MOST)
            match answer:
                case Table():
                    for column in columns:
                        require_column(source, file, _in_body(NAMES, body), column)
                    if answer.rows > limits.rows:
                        raise _unreadable(source, file, 0, f"it has {answer.rows:,} rows, more than `limits.rows`")
                case Rows():
                    for values in _in_body(VALUES, body):
                        if len(values) != len(columns):
                            raise Died(f"sent {len(values):,} values in place of {len(columns):,}")
                        number += 1
                        yield dict(zip(columns, map(_fit, values), strict=True))
                case Unreadable():
                    raise _unreadable(source, file, number, answer.error)
                case End() if answer.sent == number:
                    return
                case End():
                    raise Died(f"sent {number:,} rows and said that they were {answer.sent:,}")


def _with_descriptor(binary: BinaryIO, file: File, stack: ExitStack) -> BinaryIO:
    """The file itself, or decompressed in a temporary one: another process cannot share what is in this one."""
    if not file.name.endswith(".gz"):
        return binary
    with spooling():
        copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(binary, copy)
        copy.flush()
    return copy


def _in_body(model: TypeAdapter[T], body: bytes) -> T:
    try:
        return decode(model, body, "a message", "what was asked for")
    except Corrupt as error:
        raise Died("sent what was not asked for") from error


def _fit(value: Any) -> Any:
    return Unfit(str(value[0])) if isinstance(value, list) else value


def _unreadable(source: FileSource, file: File, number: int, reason: str) -> BadData:
    return BadData(f"source {source.name}: {file.label} is not readable as parquet after row {number}: {reason}")
