"""Rows of a parquet file, decoded in a sandbox: pyarrow is very much C++, and the file is not trusted.

The entry is `rows_server`; parquet.py asks from outside. It is imported by that name only.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from jobs.runtime.sandbox.frames import Message

_ROWS = 8192
_FRAME = 4 << 20  # characters of values; a message has the row more with which it gets there


def rows_server(settings: dict[str, Any]) -> Callable[[dict[str, Any], bytes], Iterator[Message]]:
    """The server: {columns} comes in; {columns, rows}, messages with rows, and {end} or {unreadable} go out.

    A message's rows are JSON, a list for each with its values: text, a number, null, or a list of the reason why it is
    none of these. Settings are `file`, an open descriptor, and `characters`, the most in a value.
    """
    _load_decoders(settings["characters"])

    def serve(request: dict[str, Any], _: bytes) -> Iterator[Message]:
        try:
            with os.fdopen(settings["file"], "rb", closefd=False) as file:
                file.seek(0)
                table = parquet.ParquetFile(file)
                yield {"rows": table.metadata.num_rows}, json.dumps(table.schema_arrow.names).encode()
                yield from _messages(table, request["columns"], settings["characters"])
            yield {"end": True}, b""
        except MemoryError:  # arrow's own is one, and an ArrowException
            raise
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            yield {"unreadable": str(error)[:1000]}, b""

    return serve


def _messages(table: Any, columns: list[str], most: int) -> Iterator[Message]:
    for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
        values = [_values(batch.column(batch.schema.get_field_index(column)), most) for column in columns]
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in zip(*values, strict=True):
            rows.append(row)
            size += sum(len(value) for value in row if isinstance(value, str))
            if size > _FRAME:
                yield {}, json.dumps(rows).encode()
                rows, size = [], 0
        yield {}, json.dumps(rows).encode()


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
    list(_messages(parquet.ParquetFile(file), ["prompt", "other"], most))
