"""By what the score is told apart: the source that a pair's row names, or the folder or file that it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.collect.sources.base import File
from jobs.collect.sources.named_rows import ENDINGS, named_rows
from jobs.collect.sources.pairs import PairSource, TextPairs
from jobs.collect.sources.rows import BadRow, Row
from jobs.errors import BadData

COLUMN = "source"


@dataclass(frozen=True, slots=True)
class Groups:
    """The names of the sources of a file's rows."""

    named: Mapping[int, str]  # by row, where the file has a column for it
    file: str  # the name for all other rows of the file; empty where that says nothing

    @classmethod
    def of(cls, source: PairSource, file: File, folder: str, *, several: bool) -> Groups:
        """Those of one file of a source, all of whose files are in `folder`, where that says something."""
        below = file.name.partition("/")[0] if "/" in file.name else ""
        table = file.label if several and isinstance(source, TextPairs) else ""  # shards of tars and parquet are alike
        return cls(_named(source, file), folder or below or table)

    def of_row(self, row: Row) -> str:
        """The name for a row: what its column `source` has, or its file, or the first folder of its image's name."""
        if row.number in self.named:
            return self.named[row.number]
        if self.file:
            return self.file
        folder, slash, _ = (row.image_name or "").partition("/")
        return folder if slash else ""


def _named(source: PairSource, file: File) -> dict[int, str]:
    if not isinstance(source, TextPairs) or not file.name.lower().removesuffix(".gz").endswith(ENDINGS):
        return {}
    found = {}
    try:
        for row in named_rows(source, file, [COLUMN]):
            if not isinstance(row, BadRow) and isinstance(row[1][0], str) and row[1][0]:
                found[row[0]] = row[1][0]
    except BadData:  # it has no such column
        return {}
    return found
