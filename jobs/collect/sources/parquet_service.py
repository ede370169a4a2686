"""What the sandboxed process that decodes a parquet file is asked and answers; parquet_rows.py serves it.

Values come as columns: of each its parts, which stand in the body one after the other. parquet_packing.py makes them,
parquet_unpacking.py reads them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, TypeAdapter

from jobs.runtime.sandbox.messages import Service
from jobs.shards.strict_json import Count, JsonModel

_STRICT = ConfigDict(strict=True)

Flat = Literal["text", "bytes", "int64", "uint64", "float64", "bool"]


class OpenFile(JsonModel):
    """The settings of the process."""

    file: int
    """The open descriptor of the parquet file."""

    characters: int
    """The most in a text."""

    image_bytes: int
    """The most in an image."""


class ColumnsRequest(JsonModel):
    """Asks what the file has and, where columns are named, for their values."""

    columns: tuple[str, ...] = ()

    images: tuple[str, ...] = ()
    """Those of the columns that are images: bytes, or Hugging Face's struct of `bytes` and `path`."""

    first: Count = 0
    """The first part of the file to be read."""

    step: Count = 1
    """The parts are this one and every `step`-th after it."""


class Table(JsonModel):
    """The first answer: how many rows the file has; with the names of all its columns (NAMES)."""

    rows: Count

    parts: Count
    """Row groups, but small ones that follow each other are one part."""


class Column(JsonModel):
    """Values of one column. Its parts are the lengths, the content, and what is odd, of so many bytes each.

    | type | lengths | content |
    |---|---|---|
    | text | int64: characters, -1 for null | UTF-8 of all values |
    | bytes | int64: bytes, -1 for null | all values |
    | numbers | a byte for each value, 0 for null; empty where none is | eight bytes each |
    | bool | the same | a byte each, 0 or 1 |
    | list | int64: items, -1 for null | empty; the next column is the items of all lists |
    | image | empty | empty; the next columns are their bytes and their paths |

    What is odd is ODD, the reasons why values, which are null here, are of no such type; empty where none is.
    """

    type: Flat | Literal["list", "image"]
    sizes: tuple[Count, Count, Count]


class Rows(JsonModel):
    """Some rows, which follow those of the answer before."""

    rows: Count
    columns: tuple[Column, ...]
    """In the order in which they were asked for."""


class End(JsonModel):
    """The last answer of a part: how many rows of it were sent."""

    sent: Count


class Unreadable(JsonModel):
    """The last answer where the file cannot be read to its end."""

    error: str


Answer = Table | Rows | End | Unreadable
PARQUET: Service[OpenFile, ColumnsRequest, Answer] = Service(
    "jobs.collect.sources.parquet_rows:SERVER", OpenFile, ColumnsRequest, (Table, Rows, End, Unreadable)
)

NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str], config=_STRICT)
ODD: TypeAdapter[list[tuple[int, str]]] = TypeAdapter(list[tuple[int, str]], config=_STRICT)  # number of the value, why
