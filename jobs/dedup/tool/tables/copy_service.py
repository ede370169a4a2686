"""What the sandboxed process that copies rows of parquet files is asked and answers; copy_rows.py serves it.

The files are foreign and pyarrow is very much C++, so only that process decodes them. It cannot write to any file: what
it has written comes back in its answers.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from jobs.collect.sources.parquet_service import Unreadable
from jobs.runtime.sandbox.messages import Service
from jobs.shards.strict_json import JsonModel


class OpenFiles(JsonModel):
    """The settings of the process."""

    files: list[int]
    """The open descriptors of the parquet files."""


class CopyRequest(JsonModel):
    """Asks for a file's row groups, or for some rows of one of them; or, without a file, for the end of the copy."""

    file: int | None = None
    """Which of the files, counted from 0."""

    group: int | None = None
    """With it the body has a bit for each of its rows, the lowest of a byte first: whether it is to be copied."""


class Groups(JsonModel):
    """The answer to a file: whether its columns have the names and types of the first file's; with GROUPS."""

    alike: bool


class Piece(JsonModel):
    """The next bytes of the copy."""

    last: bool
    """Whether no more follow until the next request."""


Answer = Groups | Piece | Unreadable
COPY: Service[OpenFiles, CopyRequest, Answer] = Service(
    "jobs.dedup.tool.tables.copy_rows:SERVER", OpenFiles, CopyRequest, (Groups, Piece, Unreadable)
)
GROUPS: TypeAdapter[list[int]] = TypeAdapter(list[int])  # the body of Groups: how many rows each row group has
