"""Columns of arrow as the bytes that the sandboxed process sends; only that process imports this module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as arrow
import pyarrow.compute as compute

from jobs.collect.sources.parquet_service import Column, Flat, OpenFile

Parts = tuple[Column, list[Any]]  # of the column; lengths, content and what is odd, as bytes or buffers

Odd = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class _Unfit:
    reason: str


def packed(values: Any, most: OpenFile, *, image: bool) -> Iterator[Parts]:
    """The columns that a column of arrow is sent as; a value that cannot be converted costs itself, not the others."""
    kind = values.type
    if arrow.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if image and arrow.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}:
        content, path = (values.flatten()[kind.get_field_index(name)] for name in ("bytes", "path"))
        yield _parts("image")
        yield _bytes(content, most) if _is_bytes(content.type) else _odd(content)
        yield _text(path, most) if _is_text(path.type) else _odd(path)
    elif image and _is_bytes(kind):
        yield _bytes(values, most)
    elif _is_text(kind):
        yield _text(values, most)
    elif arrow.types.is_list(kind) or arrow.types.is_large_list(kind):
        items = values.flatten()
        yield _parts("list", _lengths(compute.list_value_length(values)))
        yield _flat(items, most)
    else:
        yield _flat(values, most)


def _flat(values: Any, most: OpenFile) -> Parts:
    kind = values.type
    if _is_text(kind):
        return _text(values, most)
    if arrow.types.is_boolean(kind):
        return _numbers("bool", values, arrow.uint8())
    if arrow.types.is_uint64(kind):
        return _numbers("uint64", values, kind)
    if arrow.types.is_integer(kind):
        return _numbers("int64", values, arrow.int64())
    if arrow.types.is_floating(kind):
        return _numbers("float64", values, arrow.float64())
    return _odd(values)


def _is_text(kind: Any) -> bool:
    types = arrow.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    types = arrow.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _text(values: Any, most: OpenFile) -> Parts:
    values = values.cast(arrow.large_string())
    odd: Odd = []
    if not _all_fit(values, most.characters):
        values, odd = _sorted_out(values, lambda text: _too_long(text, most.characters))
    return _parts("text", _lengths(compute.utf8_length(values)), _content(values), odd)


def _all_fit(texts: Any, most: int) -> bool:
    try:
        texts.validate(full=True)  # that they are UTF-8
    except arrow.ArrowInvalid:
        return False
    longest = compute.max(compute.utf8_length(texts)).as_py()
    return longest is None or longest <= most


def _too_long(text: str, most: int) -> str | None:
    return f"has more than {most:,} characters" if len(text) > most else None


def _bytes(values: Any, most: OpenFile) -> Parts:
    values = values.cast(arrow.large_binary())
    lengths = compute.binary_length(values)
    reason = f"has more than {most.image_bytes:,} bytes"
    odd = [(n, reason) for n, size in enumerate(lengths.to_pylist()) if size is not None and size > most.image_bytes]
    if odd:
        too_large = compute.greater(lengths, most.image_bytes)
        values = compute.if_else(too_large, arrow.scalar(None, values.type), values)
    return _parts("bytes", _lengths(compute.binary_length(values)), _content(values), odd)


def _numbers(type_: Flat, values: Any, sent_as: Any) -> Parts:
    valid = b"" if not values.null_count else _buffer(values.is_valid().cast(arrow.uint8()))
    return _parts(type_, valid, _buffer(values.cast(sent_as).fill_null(0)))


def _odd(values: Any) -> Parts:
    """All values but nulls are odd: neither text nor numbers."""
    _, odd = _sorted_out(values, lambda value: f"is not text but {type(value).__name__}")
    nulls = arrow.nulls(len(values), arrow.large_string())
    return _parts("text", _lengths(compute.utf8_length(nulls)), b"", odd)


def _sorted_out(values: Any, why_not: Callable[[Any], str | None]) -> tuple[Any, Odd]:
    """The texts among the values, null for others; and which those are and why."""
    texts: list[str | None] = []
    odd = []
    for number, cell in enumerate(values):
        value = _value(cell)
        reason = value.reason if isinstance(value, _Unfit) else None if value is None else why_not(value)
        texts.append(value if isinstance(value, str) and not reason else None)
        if reason:
            odd.append((number, reason))
    return arrow.array(texts, arrow.large_string()), odd


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return _Unfit("is not valid UTF-8")
    except (ValueError, OverflowError, arrow.ArrowException) as error:
        return _Unfit(f"cannot be read: {error}")


def _parts(type_: Any, lengths: Any = b"", content: Any = b"", odd: Odd | None = None) -> Parts:
    reasons = json.dumps(odd).encode() if odd else b""
    return Column(type=type_, sizes=(len(lengths), len(content), len(reasons))), [lengths, content, reasons]


def _lengths(lengths: Any) -> memoryview:
    return _buffer(lengths.cast(arrow.int64()).fill_null(-1))


def _buffer(numbers: Any) -> memoryview:
    """The bytes of an array of numbers without nulls."""
    width, start = numbers.type.bit_width // 8, numbers.offset
    return memoryview(numbers.buffers()[1] or b"").cast("B")[start * width : (start + len(numbers)) * width]


def _content(values: Any) -> memoryview:
    """The bytes of all values that are not null, of large text or bytes."""
    values = values.drop_null()
    _, offsets, content = values.buffers()
    if not len(values) or content is None:
        return memoryview(b"")
    where = memoryview(offsets).cast("B").cast("q")
    return memoryview(content).cast("B")[where[values.offset] : where[values.offset + len(values)]]
