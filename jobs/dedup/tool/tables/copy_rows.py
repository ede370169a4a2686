"""Copies rows of parquet files, in a sandbox: the schema, its metadata and the columns' compression stay.

copy_service.py describes it for those who ask; only the sandboxed process imports this module.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from jobs.collect.sources.parquet_rows import or_unreadable
from jobs.dedup.tool.tables.copy_service import COPY, Answer, CopyRequest, Groups, OpenFiles, Piece
from jobs.runtime.sandbox.messages import Server

_PIECE = 16 << 20  # bytes


class _Sink(io.RawIOBase):
    """Holds what was written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> Iterator[tuple[Answer, bytes]]:
        """The bytes since the last time, in pieces."""
        data, self._parts = b"".join(self._parts), []
        for start in range(0, max(1, len(data)), _PIECE):
            yield Piece(last=start + _PIECE >= len(data)), data[start : start + _PIECE]


class _Copy:
    """One copy of some rows of several files, which has the schema of the first."""

    def __init__(self, files: Sequence[int]) -> None:
        self._tables = [os.fdopen(file, "rb", closefd=False) for file in files]
        self._sink = _Sink()
        self._writer: Any = None
        self._open: tuple[int, Any] | None = None

    def answer(self, request: CopyRequest, wanted: bytes) -> Iterator[tuple[Answer, bytes]]:
        if request.file is None:
            self._writer.close()
            yield from self._sink.take()
        elif request.group is None:
            table = self._table(request.file)
            schema, metadata = table.schema_arrow, table.metadata
            if self._writer is None:
                self._writer = _writer(self._sink, schema, metadata)
            groups = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            yield Groups(alike=bool(self._writer.schema.equals(schema))), json.dumps(groups).encode()
        else:
            self._copy(self._table(request.file).read_row_group(request.group), wanted)
            yield from self._sink.take()

    def _table(self, number: int) -> Any:
        if self._open is None or self._open[0] != number:
            self._tables[number].seek(0)
            self._open = number, parquet.ParquetFile(self._tables[number])
        return self._open[1]

    def _copy(self, rows: Any, wanted: bytes) -> None:
        mask = arrow.Array.from_buffers(arrow.bool_(), rows.num_rows, [None, arrow.py_buffer(wanted)])
        kept = rows.filter(mask)
        if kept.num_rows:
            self._writer.write_table(kept, row_group_size=kept.num_rows)


def _writer(sink: _Sink, schema: Any, metadata: Any) -> Any:
    """Writes with the codec of each column of the first row group, and names what is in lists as it is there."""
    if not metadata.num_row_groups or not metadata.num_columns:
        return parquet.ParquetWriter(sink, schema)
    group = metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return parquet.ParquetWriter(
        sink,
        schema,
        compression={one.path_in_schema: one.compression.replace("UNCOMPRESSED", "NONE") for one in columns},
        use_compliant_nested_type=not any(".list.item" in one.path_in_schema for one in columns),
    )


def _start(settings: OpenFiles) -> Callable[[CopyRequest, bytes], Iterator[tuple[Answer, bytes]]]:
    _load_decoders()
    copy = _Copy(settings.files)
    return lambda request, body: or_unreadable(copy.answer(request, body))


SERVER = Server(COPY, _start)


def _load_decoders() -> None:
    """Copy a table, so that all modules are there before no file can be opened any more."""
    file, sink = io.BytesIO(), _Sink()
    parquet.write_table(arrow.table({"prompt": ["a", "b"], "other": [1.0, 2.0]}), file)
    file.seek(0)
    table = parquet.ParquetFile(file)
    writer = _writer(sink, table.schema_arrow, table.metadata)
    writer.write_table(table.read_row_group(0).filter(arrow.array([True, False])))
    writer.close()
    list(sink.take())
