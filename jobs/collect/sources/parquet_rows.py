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

from jobs.collect.sources.parquet_service import PARQUET, Answer, ColumnsRequest, End, OpenFile, Rows, Table, Unreadable
from jobs.runtime.log import encodable
from jobs.runtime.sandbox.messages import Server

A = TypeVar("A")

_ROWS = 8192
_FRAME = 4 << 20  # characters of values; a message has the row more with which it gets there


def _start(settings: OpenFile) -> Callable[[ColumnsRequest, bytes], Iterator[tuple[Answer, bytes]]]:
    _load_decoders(settings.characters)

    def serve(request: ColumnsRequest, _: bytes) -> Iterator[tuple[Answer, bytes]]:
        sent = 0
        with os.fdopen(settings.file, "rb", closefd=False) as file:
            file.seek(0)
            table = parquet.ParquetFile(file)
            yield Table(rows=table.metadata.num_rows), json.dumps(table.schema_arrow.names).encode()
            for rows in _rows(table, request.columns, settings.characters):
                sent += len(rows)
                yield Rows(), json.dumps(rows).encode()
        yield End(sent=sent), b""

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


def _rows(table: Any, columns: Sequence[str], most: int) -> Iterator[list[tuple[Any, ...]]]:
    for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
        values = [_values(batch.column(batch.schema.get_field_index(column)), most) for column in columns]
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in zip(*values, strict=True):
            rows.append(row)
            size += sum(len(value) for value in row if isinstance(value, str))
            if size > _FRAME:
                yield rows
                rows, size = [], 0
        yield rows


def _values(column: Any, most: int) -> list[Any]:
    """A column's values; one that cannot be converted costs itself, not the batch."""
    try:
        values = column.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError, arrow.ArrowException):
        values = [_value(cell) for cell in column]
    return [value if value is None or isinstance(value, float) else _readable(value, most) for value in values]


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return ["is not valid UTF-8"]
    except (ValueError, OverflowError, arrow.ArrowException) as error:
        return [f"cannot be read: {error}"]


def _readable(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= most else [f"has more than {most:,} characters"]
    if isinstance(value, bool | int) or (isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)):
        return value
    return [f"is not text but {type(value).__name__}"]


def _load_decoders(most: int) -> None:
    """Read a table, so that all modules are there before no file can be opened any more."""
    file = io.BytesIO()
    parquet.write_table(arrow.table({"prompt": ["a"], "other": [1.0]}), file)
    list(_rows(parquet.ParquetFile(file), ["prompt", "other"], most))
