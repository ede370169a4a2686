"""The files of a part while they are made: out of sight until all of them are whole."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from jobs.export.rows import Row
from jobs.shards.digests import sha256_of_file
from jobs.shards.store import spool, spooling
from jobs.shards.strict_json import Count, Digest, JsonModel


class FileRecord(JsonModel):
    """A file that was written; `size` is in bytes."""

    name: str
    size: Count
    sha256: Digest
    rows: Count = 0
    """Rows of the table that the file holds; 0 for an image."""


class PartRecord(JsonModel):
    """A part that was written."""

    files: tuple[FileRecord, ...]
    origins: tuple[tuple[str, str, Count], ...]
    """Rows by source and licence."""

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)


@dataclass(slots=True)
class Draft:
    """Temporary files by the names that they will have, and what is counted while they are written."""

    stack: ExitStack
    on_row: Callable[[], None]  # called for each row
    files: dict[str, BinaryIO] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)  # by file
    origins: Counter[tuple[str, str]] = field(default_factory=Counter)

    def new(self, name: str) -> BinaryIO:
        """A new file of that name."""
        self.files[name] = self.stack.enter_context(spool())
        return self.files[name]

    @contextmanager
    def new_text(self, name: str) -> Iterator[io.TextIOWrapper]:
        """A new file of that name, for text in UTF-8 whose lines end as they are written."""
        text = io.TextIOWrapper(self.new(name), "utf-8", newline="")
        yield text
        text.flush()
        text.detach()

    def counted(self, name: str, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, counted as those of the file of that name."""
        for row in rows:
            self.count(name, row)
            yield row

    def count(self, name: str, row: Row) -> None:
        """Count a row as one of the file of that name."""
        self.rows[name] += 1
        self.origins.update(row.origins)
        self.on_row()

    def record(self) -> PartRecord:
        """What was written."""
        return PartRecord(
            files=tuple(self._file(name, file) for name, file in sorted(self.files.items())),
            origins=tuple((*origin, rows) for origin, rows in sorted(self.origins.items())),
        )

    def _file(self, name: str, file: BinaryIO) -> FileRecord:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return FileRecord(name=name, size=size, sha256=sha256_of_file(file), rows=self.rows[name])


@contextmanager
def drafting(on_row: Callable[[], None]) -> Iterator[Draft]:
    """A draft, whose files are gone when this ends; raises StoreFull when the folder for temporary files is full."""
    with spooling(), ExitStack() as stack:
        yield Draft(stack, on_row)
