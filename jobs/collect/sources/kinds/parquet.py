"""Parquet, one column of it, a few thousand rows at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO, Literal

from jobs.collect.sources.base import File, FileSource, require_column
from jobs.collect.sources.parquet_client import NotParquet, values_of
from jobs.collect.sources.rows import AnyRow, row_of
from jobs.errors import BadData
from jobs.runtime.sandbox.pool import Died, Refused
from jobs.shards.store import spooling

_TRIES = 2  # a process that ended without a reason may have been killed for another one's sake

Values = dict[str, Any]


class Parquet(FileSource):
    """A text column of parquet files: text2image-multi-prompt (`text`), LAION-COCO (`top_caption`)."""

    kind: Literal["parquet"]

    column: str = "prompt"
    """The column that holds the prompt."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        for number, values in numbered_rows(self, file, [self.column]):
            yield row_of(number, values[self.column])


def numbered_rows(source: FileSource, file: File, columns: list[str]) -> Iterator[tuple[int, Values]]:
    """The rows of a parquet file, counted from 1, only these columns; raises BadData unless it is one and has them.

    A value is text, a number, None, or Unfit. Also bad data is a file that takes more than the source's limits.
    """
    limits, number = source.limits, 0

    def check(names: list[str], rows: int) -> None:
        for column in columns:
            require_column(source, file, names, column)
        if rows > limits.rows:
            raise _unreadable(source, file, 0, f"it has {rows:,} rows, more than `limits.rows`")

    with ExitStack() as stack:
        binary = _with_descriptor(stack.enter_context(file.binary(limits)), file, stack)
        for tries in range(_TRIES):
            try:
                for row, values in enumerate(values_of(binary, columns, limits, check), 1):
                    if row > number:  # else reported before the process had to be started again
                        number = row
                        yield number, dict(zip(columns, values, strict=True))
                return
            except NotParquet as error:
                raise _unreadable(source, file, number, str(error)) from error
            except Refused as error:
                raise _unreadable(source, file, number, f"decoding it {error}; see `limits` of the source") from error
            except Died as error:
                if tries + 1 == _TRIES:
                    raise _unreadable(source, file, number, f"decoding it ends the process, which {error}") from error


def _with_descriptor(binary: BinaryIO, file: File, stack: ExitStack) -> BinaryIO:
    """The file itself, or decompressed in a temporary one: another process cannot share what is in this one."""
    if not file.name.endswith(".gz"):
        return binary
    with spooling():
        copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(binary, copy)
        copy.flush()
    return copy


def _unreadable(source: FileSource, file: File, number: int, reason: str) -> BadData:
    return BadData(f"source {source.name}: {file.label} is not readable as parquet after row {number}: {reason}")
