"""What the sandboxed process that decodes a parquet file is asked and answers; parquet_rows.py serves it."""

from __future__ import annotations

from pydantic import ConfigDict, TypeAdapter

from jobs.runtime.sandbox.messages import Service
from jobs.shards.strict_json import JsonModel

_STRICT = ConfigDict(strict=True)


class OpenFile(JsonModel):
    """The settings of the process."""

    file: int
    """The open descriptor of the parquet file."""

    characters: int
    """The most in a value."""


class ColumnsRequest(JsonModel):
    """Asks for all rows, of these columns only."""

    columns: tuple[str, ...]


class Table(JsonModel):
    """The first answer: how many rows the file has; with the names of all its columns (NAMES)."""

    rows: int


class Rows(JsonModel):
    """Some rows (VALUES), which follow those of the answer before."""


class End(JsonModel):
    """The last answer: how many rows were sent."""

    sent: int


class Unreadable(JsonModel):
    """The last answer where the file cannot be read to its end."""

    error: str


Answer = Table | Rows | End | Unreadable
PARQUET: Service[OpenFile, ColumnsRequest, Answer] = Service(
    "jobs.collect.sources.parquet_rows:SERVER", OpenFile, ColumnsRequest, (Table, Rows, End, Unreadable)
)

# The bodies. A value that is neither text nor a number nor null is a list of the reason why it is none of these.
Value = str | float | int | bool | list[str] | None
NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str], config=_STRICT)
VALUES: TypeAdapter[list[list[Value]]] = TypeAdapter(list[list[Value]], config=_STRICT)
