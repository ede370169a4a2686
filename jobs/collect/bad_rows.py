"""The errors for a file with a row that cannot be read: which is the first, how many there are, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.rows import AnyRow, BadRow, Row
from jobs.errors import BadData
from jobs.imaging.decoding import BadImage

_ROWS_COUNTED = 1_000_000  # after the first bad one: some seconds


def bad_row(source: FileSource, file: File, first: BadRow, rows: Iterable[AnyRow], number: int) -> BadData:
    """The error, for which the rest of the file is read; the first bad row is the `number`-th of the rows."""
    bad, read, is_all = 1, number, True
    try:
        for row in islice(rows, _ROWS_COUNTED):
            read += 1
            bad += isinstance(row, BadRow)
        is_all = read < number + _ROWS_COUNTED
    except BadData:  # which the file is too, but first of all it has this row
        is_all = False
    return BadData(
        f"source {source.name}: row {first.number} of {file.label} cannot be read: {first.reason}; "
        f"{'of all' if is_all else 'of the first'} {read:,} rows, {bad:,} cannot; {source.advice(file, first)}"
    )


def bad_image(source: FileSource, file: File, row: Row, image: BadImage) -> BadData:
    """The error for a row whose image is missing or none."""
    return BadData(
        f"source {source.name}: row {row.number} of {file.label} cannot be read: its image is {image.reason} "
        f"({image}); correct it, or set `on_bad_row: skip` to leave such rows out and count them"
    )
