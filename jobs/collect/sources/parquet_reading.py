"""The rows of a source's parquet file, with some of its columns."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, BinaryIO

from jobs.collect.sources.base import File, FileSource, column_named
from jobs.collect.sources.parquet_client import NotParquet, parquet_file
from jobs.errors import BadData
from jobs.runtime.sandbox.pool import Died, Refused
from jobs.shards.store import spooling

_TRIES = 2  # a process that ended without a reason may have been killed for another one's sake

Values = dict[str, Any]


def numbered_rows(
    source: FileSource, file: File, columns: Sequence[str], images: Sequence[str] = ()
) -> Iterator[tuple[int, Values]]:
    """The rows of a parquet file, counted from 1, only these columns; raises BadData unless it is one and has them.

    A value is text, a number, a list of them, None, or Unfit; in `images`, bytes or the path of a file. Also bad data
    is a file that takes more than the source's limits.
    """
    limits, names, number = source.limits, (*columns, *images), 0
    with ExitStack() as stack:
        binary = _with_descriptor(stack.enter_context(file.binary(limits)), file, stack)
        for tries in range(_TRIES):
            try:
                with parquet_file(binary, limits) as table:
                    if table.rows > limits.rows:
                        raise _unreadable(source, file, 0, f"it has {table.rows:,} rows, more than `limits.rows`")
                    found = [column_named(source, file, table.names, name) for name in names]
                    # Those reported before the process had to be started again are not repeated.
                    rows = table.values(found, images=found[len(columns) :], processes=file.processes)
                    for number, values in enumerate(islice(rows, number, None), number + 1):  # noqa: B020
                        yield number, dict(zip(names, values, strict=True))
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
