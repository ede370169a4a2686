"""What a format makes of a file's lines: what stands before the rows, the columns, and the rows with their texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from jobs.collect.sources.rows import Unfit
from jobs.dedup.tool.tables.columns import chosen
from jobs.errors import BadConfiguration


@dataclass(frozen=True, slots=True)
class Parsed:
    """The lines of one file as a table, whose rows can be read once."""

    header: str
    columns: tuple[str, ...]
    column: str | None
    rows: Iterator[tuple[str, object]]
    """Of each its text with its line ends, and its prompt: text, None where it has none, Unfit for anything else."""


def text(lines: Iterator[str], wanted: str | None, label: str) -> Parsed:
    """Plain text: every line is a row, also an empty one."""
    if wanted is not None:
        raise BadConfiguration(f"{label} is text, of which every line is a prompt: it has no columns to choose from")
    return Parsed("", (), None, ((line, line) for line in lines))


def jsonl(lines: Iterator[str], wanted: str | None, label: str) -> Parsed:
    """JSON lines: an object a line; empty lines are no rows. The columns are the members of the first object."""
    filled = (line for line in lines if line.strip())
    first = next(filled, None)
    if first is None:
        return Parsed("", (), wanted, iter(()))
    value = _decoded(first)
    if not isinstance(value, dict):
        raise BadConfiguration(f"{label}: JSON lines are required, an object a line; the first is none: {first[:60]!r}")
    column = chosen(list(value), wanted, label)
    return Parsed("", tuple(value), column, ((line, _member(line, column)) for line in chain([first], filled)))


def _member(line: str, column: str) -> object:
    value = _decoded(line)
    if isinstance(value, Unfit):
        return value
    if not isinstance(value, dict) or column not in value:
        return Unfit(f"is no object with a member {column!r}")
    return value[column]


def _decoded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return Unfit(f"is not JSON: {error}")
