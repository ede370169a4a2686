"""Parquet files as columns of values, decoded by sandboxed processes; parquet_service.py says what they are asked."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.parquet_service import (
    NAMES,
    PARQUET,
    Answer,
    ColumnsRequest,
    End,
    OpenFile,
    Rows,
    Table,
    Unreadable,
)
from jobs.collect.sources.parquet_unpacking import columns_in
from jobs.errors import Corrupt
from jobs.runtime.sandbox.pool import Bounds, Child, Died
from jobs.shards.strict_json import decode

_MOST = 1 << 30  # bytes of one message

Decoder = Child[OpenFile, ColumnsRequest, Answer]


class NotParquet(Exception):
    """A file cannot be read as parquet, or not to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """An open parquet file: the names of all its columns, and the number of its rows and parts.

    Its methods raise NotParquet, Refused, Died.
    """

    names: list[str]
    rows: int
    parts: int
    _processes: _Processes = field(repr=False)

    def values(
        self, columns: Sequence[str], *, images: Sequence[str] = (), processes: int = 1
    ) -> Generator[tuple[Any, ...]]:
        """The values of these columns in every row, in order: text, numbers, None, lists of these, or Unfit.

        Those of `images` are bytes, or text where a row names a file in place of them. So many processes decode parts
        of the file at once, each a batch of a few MiB at a time.
        """
        step = max(1, min(processes, self.parts))
        decoders = [self._processes.get(number) for number in range(step)]
        for first, decoder in enumerate(decoders):
            decoder.ask(ColumnsRequest(columns=tuple(columns), images=tuple(images), first=first, step=step))
        for decoder in decoders:
            if _table(decoder) != (self.names, self.rows, self.parts):
                raise Died("sent another table than before")
        for part in range(self.parts):
            yield from _part(decoders[part % step], len(columns))


@contextmanager
def parquet_file(file: BinaryIO, limits: SourceLimits) -> Iterator[ParquetFile]:
    """An open file as parquet; raises NotParquet, Refused, Died."""
    with ExitStack() as stack:
        processes = _Processes(file, limits, stack)
        first = processes.get(0)
        first.ask(ColumnsRequest())
        yield ParquetFile(*_table(first), processes)


class _Processes:
    """The processes that decode one file, each started when it is first needed."""

    def __init__(self, file: BinaryIO, limits: SourceLimits, stack: ExitStack) -> None:
        self._file = file.fileno()
        self._settings = OpenFile(file=self._file, characters=limits.line_characters, image_bytes=limits.image_bytes)
        self._bounds = Bounds(limits.seconds, limits.memory_mib << 20)
        self._stack = stack
        self._started: list[Decoder] = []

    def get(self, number: int) -> Decoder:
        while len(self._started) <= number:
            child: Decoder = Child(PARQUET, self._settings, self._bounds, files=[self._file])
            self._started.append(self._stack.enter_context(closing(child)))
        return self._started[number]


def _table(decoder: Decoder) -> tuple[list[str], int, int]:
    answer, body = _answer(decoder)
    if not isinstance(answer, Table):
        raise Died("sent what was not asked for")
    try:
        return decode(NAMES, body, "a message", "names of columns"), answer.rows, answer.parts
    except Corrupt as error:
        raise Died("sent what was not asked for") from error


def _part(decoder: Decoder, columns: int) -> Iterator[tuple[Any, ...]]:
    number = 0
    while True:
        answer, body = _answer(decoder)
        if isinstance(answer, Rows):
            values = columns_in(answer, body)
            if len(values) != columns:
                raise Died(f"sent {len(values):,} columns in place of {columns:,}")
            number += answer.rows
            yield from zip(*values, strict=True)
        elif not isinstance(answer, End):
            raise Died("sent what was not asked for")
        elif answer.sent != number:
            raise Died(f"sent {number:,} rows and said that they were {answer.sent:,}")
        else:
            return


def _answer(decoder: Decoder) -> tuple[Table | Rows | End, bytes]:
    answer, body = decoder.answer(_MOST)
    if isinstance(answer, Unreadable):
        raise NotParquet(answer.error)
    return answer, body
