"""JSON as sources read it: files that are one array or object each, and lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.encodings import UTF8, decoded
from jobs.collect.sources.json_values import NotJson, values_in
from jobs.collect.sources.rows import AnyRow, BadRow, Unfit, row_of, unreadable
from jobs.errors import BadData


def numbered_values(source: FileSource, file: File, encoding: str = UTF8) -> Iterator[tuple[int, str, Any]]:
    """The values of a file's array or object, counted from 1, with their names there; raises BadData.

    In place of one that cannot be read stands Unfit.
    """
    number = 0
    with file.binary(source.limits) as binary, decoded(binary, file.label, encoding) as text:
        try:
            for number, (name, value) in enumerate(values_in(text, source.limits.line_characters), 1):
                yield number, name, value
        except NotJson as error:
            raise BadData(
                f"source {source.name}: {file.label} is not readable as JSON after row {number}: {error}"
            ) from error


def member_row(number: int, value: Any, column: str, **extra: str) -> AnyRow:
    """The row of an object whose member `column` is the prompt; `extra` names the members that are kept beside it."""
    if isinstance(value, Unfit):
        return BadRow(number, f"it {value.reason}")
    if not isinstance(value, dict) or column not in value:
        return BadRow(number, f"it is not an object with a member {column!r}")
    return row_of(number, value[column], **{name: value.get(member) for name, member in extra.items()})


def json_of_line(number: int, text: str) -> Any:
    """The value in a line of JSON lines, or a BadRow that says why there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if reason := unreadable(text):
            return BadRow(number, f"it {reason}")
        hint = "; it may be one JSON array for the whole file: set `kind: json`" if text.strip() == "[" else ""
        return BadRow(number, f"it is not JSON: {error}{hint}")
