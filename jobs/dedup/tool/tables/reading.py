"""Opens files of prompts as tables of one kind, reads their prompts, and copies the rows that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from jobs.collect.sources.rows import BadRow, row_of
from jobs.dedup.tool.tables import lines, parquet
from jobs.dedup.tool.tables.files import LIMITS, not_utf8
from jobs.dedup.tool.tables.formats import PARQUET, Format
from jobs.dedup.tool.tables.lines import LineTable
from jobs.dedup.tool.tables.parquet import ParquetTable
from jobs.errors import BadConfiguration, BadData

Table = LineTable | ParquetTable

_ROWS_OF_NO_BYTES = 1 << 20  # that a file may have beyond one for each of its bytes, as those of sources may
_HINTS = {
    "fields": "; in a CSV, a field with a delimiter in it is quoted; where each line is a prompt, name the file .txt",
}


def open_tables(paths: Sequence[Path], format_: Format, column: str | None) -> list[Table]:
    """The tables in the files, whose columns are those of the first, JSON lines excepted, where only `column` counts.

    Raises BadData for a file that cannot be read, BadConfiguration where the column is missing or columns differ.
    """
    found: list[Table] = []
    for path in paths:
        wanted = found[0].column if found else column
        found.append(
            parquet.parquet_table(path, wanted)
            if format_.ending == PARQUET
            else lines.line_table(path, format_.ending, wanted)
        )
        if format_.ending != ".jsonl" and found[-1].columns != found[0].columns:
            raise BadConfiguration(
                f"{paths[0]} has the columns {list(found[0].columns)}, {path} has {list(found[-1].columns)}: equal "
                "ones are required, as the kept rows of all files go into one"
            )
    if format_.ending == PARQUET and len(found) > 1:
        parquet.check_alike(cast(list[ParquetTable], found))
    return found


def prompts(table: Table) -> Iterator[str]:
    """The prompt of every row, as it stands there, empty where there is none; raises BadData for rows without text.

    All rows are read before it is raised, so that it says whether one row is wrong or most.
    """
    bad: list[BadRow] = []  # the first one
    num_bad = number = 0
    most = min(LIMITS.rows, _ROWS_OF_NO_BYTES + table.path.stat().st_size)
    for number, value in enumerate(table.values(), 1):
        if number > most:
            raise BadData(f"{table.path} has more than {most:,} rows, which is more than it has bytes, or too many")
        row = row_of(number, "" if value is None else value)
        if isinstance(row, BadRow):
            num_bad += 1
            bad = bad or [row]
        else:
            yield row.prompt
    if bad:
        raise _bad_rows(table.path, bad[0], num_bad, number)


def copy_rows(tables: Sequence[Table], keep: Sequence[Iterable[bool]], out: BinaryIO) -> None:
    """Write the rows to be kept, with all their columns; raises BadData where a file is not what it was."""
    if isinstance(tables[0], ParquetTable):
        parquet.copy(cast(Sequence[ParquetTable], tables), keep, out)
    else:
        lines.copy(cast(Sequence[LineTable], tables), keep, out)


def _bad_rows(path: Path, first: BadRow, number: int, rows: int) -> BadData:
    reason = first.reason.removeprefix("its prompt ").removeprefix("it ")
    if "UTF-8" in reason:
        return not_utf8(path, f"row {first.number} ({number:,} of {rows:,} rows)")
    hint = next((hint for word, hint in _HINTS.items() if word in reason), "")
    others = "" if number == 1 else f"; {number:,} of {rows:,} rows cannot be read, this is the first"
    return BadData(f"{path}: row {first.number} {reason}{others}{hint}")
