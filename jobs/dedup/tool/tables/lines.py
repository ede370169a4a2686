"""Tables in lines: text, JSON lines, CSV and TSV. Of a row its very text is kept, so it is written as it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from jobs.collect.sources.kinds.csv import Csv
from jobs.collect.sources.kinds.tsv import Tsv
from jobs.dedup.tool.tables import parsed
from jobs.dedup.tool.tables.delimited import delimited
from jobs.dedup.tool.tables.files import MARK, as_bytes, changed, lines_of
from jobs.dedup.tool.tables.parsed import Parsed

_PARSERS: dict[str, Callable[[Iterator[str], str | None, str], Parsed]] = {
    ".txt": parsed.text,
    ".jsonl": parsed.jsonl,
    ".csv": partial(delimited, dialect=Csv.dialect),
    ".tsv": partial(delimited, dialect=Tsv.dialect),
}


@dataclass(frozen=True, slots=True)
class LineTable:
    """A file of lines, its columns and which of them is read."""

    path: Path
    ending: str
    columns: tuple[str, ...]
    column: str | None  # None of text, which has no columns

    def values(self) -> Iterator[object]:
        """Of every row what should be its prompt: text, None where it has none, or Unfit."""
        with _parsed(self.path, self.ending, self.column) as found:
            for _, value in found.rows:
                yield value

    def texts(self) -> Iterator[str]:
        """What stands before the first row, then the text of every row, with its line ends."""
        with _parsed(self.path, self.ending, self.column) as found:
            yield found.header
            for text, _ in found.rows:
                yield text


def line_table(path: Path, ending: str, wanted: str | None) -> LineTable:
    """The table in a file; raises BadData, or BadConfiguration where it has no such column."""
    with _parsed(path, ending, wanted) as found:
        return LineTable(path, ending, found.columns, found.column)


def copy(tables: Sequence[LineTable], keep: Sequence[Iterable[bool]], out: BinaryIO) -> None:
    """Write the header of the first table and the rows to be kept of all, byte for byte as they were read.

    Only where a file's last line has no end and another row follows is one added.
    """
    lines = _Lines(out)
    for number, (table, wanted) in enumerate(zip(tables, keep, strict=True)):
        texts = table.texts()
        header = next(texts)
        if number == 0:
            lines.write(header)
        left = iter(wanted)
        for text in texts:
            is_kept = next(left, None)
            if is_kept is None:
                raise changed(table.path)
            if is_kept:
                lines.write(text)
        if next(left, None) is not None:
            raise changed(table.path)


class _Lines:
    """Writes texts, each on lines of its own."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._end, self._is_open = out, "\n", False

    def write(self, text: str) -> None:
        """Write a text, after the line end that the one before lacks."""
        if self._is_open:
            self._out.write(as_bytes(self._end))
        self._out.write(as_bytes(text))
        end = text[len(text.rstrip("\r\n")) :]
        self._end, self._is_open = end or self._end, not end and text not in ("", MARK)


@contextmanager
def _parsed(path: Path, ending: str, wanted: str | None) -> Iterator[Parsed]:
    with lines_of(path) as (mark, lines):
        found = _PARSERS[ending](lines, wanted, str(path))
        yield replace(found, header=mark + found.header)
