"""Parquet as a table. Prompts are read as sources are, and rows copied, both by processes in a sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jobs.collect.sources.parquet_client import NotParquet, parquet_file
from jobs.collect.sources.parquet_service import Unreadable
from jobs.dedup.tool.tables import copy_service
from jobs.dedup.tool.tables.columns import chosen
from jobs.dedup.tool.tables.copy_service import COPY, GROUPS, CopyRequest, Groups, OpenFiles, Piece
from jobs.dedup.tool.tables.files import LIMITS, changed
from jobs.errors import BadConfiguration, BadData, Corrupt
from jobs.runtime.sandbox.pool import Bounds, Child, Died, Refused
from jobs.shards.strict_json import decode

_MOST = 1 << 30  # bytes of one message
_BOUNDS = Bounds(LIMITS.seconds, LIMITS.memory_mib << 20)

Copier = Child[OpenFiles, CopyRequest, copy_service.Answer]


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A parquet file, its columns and which of them is read."""

    path: Path
    columns: tuple[str, ...]
    column: str

    def values(self) -> Iterator[object]:
        """Of every row what should be its prompt: text, None where it has none, or something else; raises BadData."""
        with self.path.open("rb") as file, _translated(self.path), parquet_file(file, LIMITS) as table:
            for (value,) in table.values([self.column]):
                yield value


def parquet_table(path: Path, wanted: str | None) -> ParquetTable:
    """The table in a file; raises BadData, or BadConfiguration where it has no such column."""
    with path.open("rb") as file, _translated(path), parquet_file(file, LIMITS) as table:
        columns, rows = table.names, table.rows
    if rows > LIMITS.rows:
        raise _unreadable(path, "it claims to have more rows than any file has")
    return ParquetTable(path, tuple(columns), chosen(columns, wanted, str(path)))


def check_alike(tables: Sequence[ParquetTable]) -> None:
    """Raise BadConfiguration unless all tables have equal columns, also by their types."""
    with _copying(tables) as child:
        for number, table in enumerate(tables):
            with _translated(table.path):
                _groups(child, number, table, tables[0].path)


def copy(tables: Sequence[ParquetTable], keep: Sequence[Iterable[bool]], out: BinaryIO) -> None:
    """Write the rows to be kept of all tables, which must have equal columns; raises BadConfiguration otherwise."""
    with _copying(tables) as child:
        for number, (table, wanted) in enumerate(zip(tables, keep, strict=True)):
            with _translated(table.path):
                _copy_one(child, number, table, tables[0].path, iter(wanted), out)
        with _translated(tables[0].path):
            _receive(child, CopyRequest(), b"", tables[0].path, out)


@contextmanager
def _copying(tables: Sequence[ParquetTable]) -> Iterator[Copier]:
    with ExitStack() as stack:
        descriptors = [stack.enter_context(table.path.open("rb")).fileno() for table in tables]
        child = Child(COPY, OpenFiles(files=descriptors), _BOUNDS, files=descriptors)
        yield stack.enter_context(closing(child))


def _groups(child: Copier, number: int, table: ParquetTable, first: Path) -> list[int]:
    """How many rows the row groups of a table have."""
    child.ask(CopyRequest(file=number))
    answer, body = child.answer(_MOST)
    if isinstance(answer, Unreadable):
        raise _unreadable(table.path, answer.error)
    if not isinstance(answer, Groups):
        raise Died("sent what was not asked for")
    if not answer.alike:
        raise BadConfiguration(
            f"{table.path} has not the columns and types of {first}: equal ones are required for one file of kept rows"
        )
    return decode(GROUPS, body, "a message", "numbers of rows")


def _copy_one(
    child: Copier,
    number: int,
    table: ParquetTable,
    first: Path,
    wanted: Iterator[bool],
    out: BinaryIO,
) -> None:
    for group, rows in enumerate(_groups(child, number, table, first)):
        bits = np.fromiter(islice(wanted, rows), bool)
        if len(bits) != rows:
            raise changed(table.path)
        body = np.packbits(bits, bitorder="little").tobytes()
        _receive(child, CopyRequest(file=number, group=group), body, table.path, out)
    if next(wanted, None) is not None:
        raise changed(table.path)


def _receive(
    child: Copier,
    request: CopyRequest,
    body: bytes,
    path: Path,
    out: BinaryIO,
) -> None:
    child.ask(request, body)
    while True:
        answer, piece = child.answer(_MOST)
        if isinstance(answer, Unreadable):
            raise _unreadable(path, answer.error)
        out.write(piece)
        if not isinstance(answer, Piece) or answer.last:
            return


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except NotParquet as error:
        raise _unreadable(path, str(error)) from error
    except (Refused, Died) as error:
        hint = "; written with smaller row groups it takes less" if isinstance(error, Refused) else ""
        raise _unreadable(path, f"decoding it {error}{hint}") from error
    except Corrupt as error:  # of a message
        raise _unreadable(path, "decoding it ends in what was not asked for") from error


def _unreadable(path: Path, reason: str) -> BadData:
    return BadData(f"{path} is not readable as parquet: {reason}")
