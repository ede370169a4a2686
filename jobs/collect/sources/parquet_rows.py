"""Rows of a parquet file, decoded in a sandbox: pyarrow is very much C++, and the file is not trusted.

parquet_service.py describes it for those who ask; only the sandboxed process imports this module.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as arrow
import pyarrow.parquet as parquet

from jobs.collect.sources.parquet_packing import packed
from jobs.collect.sources.parquet_service import PARQUET, Answer, ColumnsRequest, End, OpenFile, Rows, Table, Unreadable
from jobs.runtime.log import encodable
from jobs.runtime.sandbox.messages import Server

A = TypeVar("A")

_ROWS = 8192
_PART = 2 * _ROWS  # rows, at least: one batch waits in the pipe while the next one is decoded
_MESSAGE = 4 << 20  # bytes of values; one row may have more
_BATCH = 4 * _MESSAGE  # bytes that are decoded at once, as far as the file says how many there are
_READ = 1 << 20  # bytes of a column that are read at once: else the whole of its row group is


def _start(settings: OpenFile) -> Callable[[ColumnsRequest, bytes], Iterator[tuple[Answer, bytes]]]:
    _load_decoders(settings)

    def serve(request: ColumnsRequest, _: bytes) -> Iterator[tuple[Answer, bytes]]:
        table = parquet.ParquetFile(_File(settings.file), buffer_size=_READ, pre_buffer=False)
        parts = _parts(table.metadata)
        yield Table(rows=table.metadata.num_rows, parts=len(parts)), json.dumps(table.schema_arrow.names).encode()
        if request.columns:
            for groups in parts[request.first :: request.step]:
                yield from _rows(table, groups, request, settings)

    return lambda request, body: or_unreadable(serve(request, body))


def or_unreadable(answers: Iterator[tuple[A, bytes]]) -> Iterator[tuple[A | Unreadable, bytes]]:
    """The answers, and why there are no more where the file cannot be read further."""
    try:
        yield from answers
    except MemoryError:  # arrow's own is one, and an ArrowException
        raise
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        yield Unreadable(error=encodable(str(error)[:1000])), b""


SERVER = Server(PARQUET, _start)


class _File(io.RawIOBase):
    """A file with a position of its own, unlike the descriptor's, which other processes share."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._position = descriptor, 0

    def read(self, size: int = -1) -> bytes:
        data = os.pread(self._descriptor, self._size() if size < 0 else size, self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size()}[whence]
        self._position = start + offset
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size


def _parts(metadata: Any) -> list[list[int]]:
    """The row groups, those together that follow each other and are small."""
    parts: list[list[int]] = []
    rows = _PART
    for group in range(metadata.num_row_groups):
        if rows >= _PART:
            parts.append([])
            rows = 0
        parts[-1].append(group)
        rows += metadata.row_group(group).num_rows
    return parts


def _rows(table: Any, groups: list[int], request: ColumnsRequest, settings: OpenFile) -> Iterator[tuple[Answer, bytes]]:
    sent = 0
    batches = table.iter_batches(
        batch_size=_rows_at_once(table, groups, request.columns), row_groups=groups, columns=request.columns
    )
    for batch in batches:
        for rows in _in_messages(batch):
            parts = [
                part
                for name in request.columns
                for part in packed(rows.column(name), settings, image=name in request.images)
            ]
            yield (
                Rows(rows=len(rows), columns=tuple(column for column, _ in parts)),
                b"".join(part for _, buffers in parts for part in buffers),
            )
            sent += len(rows)
    yield End(sent=sent), b""


def _rows_at_once(table: Any, groups: Sequence[int], columns: Sequence[str]) -> int:
    found = [table.metadata.row_group(group) for group in groups]
    leaves = [n for n in range(len(table.schema)) if table.schema.column(n).path.partition(".")[0] in columns]
    size: int = sum(group.column(n).total_uncompressed_size for group in found for n in leaves)
    rows: int = sum(group.num_rows for group in found)
    return max(1, min(_ROWS, _BATCH * rows // max(size, 1)))


def _in_messages(batch: Any) -> Iterator[Any]:
    """The batch, in halves until none is larger than a message should be."""
    if batch.nbytes <= _MESSAGE or len(batch) < 2:
        yield batch
    else:
        middle = len(batch) // 2
        yield from _in_messages(batch.slice(0, middle))
        yield from _in_messages(batch.slice(middle))


def _load_decoders(settings: OpenFile) -> None:
    """Read a table, so that all modules are there before no file can be opened any more."""
    file = io.BytesIO()
    columns = {"prompt": ["a"], "other": [1.0], "image": [b"a"], "list": [["a"]], "odd": [{"a": True}]}
    parquet.write_table(arrow.table(columns), file)
    for batch in parquet.ParquetFile(file).iter_batches():
        for name in columns:
            list(packed(batch.column(name), settings, image=name == "image"))
