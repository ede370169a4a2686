"""What a source is: named files (or none), and rows read from them one at a time."""

from __future__ import annotations

import codecs
import fnmatch
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, ClassVar, Literal, TextIO, cast

from pydantic import Field

from jobs.errors import BadConfiguration, BadData
from jobs.runtime.patience import store_patience
from jobs.runtime.spec import Params
from jobs.shards.address import open_file
from jobs.shards.store import Store


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt as the source has it, where it stood (counted from 1), and what else is worth keeping of the row."""

    number: int
    prompt: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of a source: its store, its name in it, and a version that is equal for equal content."""

    store: Store
    name: str
    version: str

    @property
    def label(self) -> str:
        """The name without folders, which differ between machines."""
        return PurePosixPath(self.name).name

    @contextmanager
    def binary(self) -> Iterator[BinaryIO]:
        """The file's bytes, decompressed when its name ends in .gz."""
        with self.store.open(self.name) as file:
            try:
                if self.name.endswith(".gz"):
                    with gzip.open(file) as inside:
                        yield cast(BinaryIO, inside)
                else:
                    yield file
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise BadData(f"{self.label} is not a whole gzip file: {error}; fetch it again") from error


class Source(Params):
    """What every source has. The order of the sources is their priority: of near duplicates the earliest is kept."""

    kind: str

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
    """Short name, part of the shards' names and of every prompt's provenance."""

    licence: str | None = None
    """The licence of the prompts, kept with each of them."""

    limit: int | None = Field(default=None, ge=1)
    """Read only so many rows of each file."""


class FileSource(Source):
    """A source that stands in files."""

    path: str
    """A file, or several with * and ? in the last part: a local path or s3://BUCKET/KEY. `.gz` is decompressed."""

    on_bad_row: Literal["fail", "skip"] = "fail"
    """What to do with a row that cannot be read: fail and name it, or skip it and count it."""

    def files(self) -> list[File]:
        """The files that `path` names, sorted; raises BadConfiguration when there is none."""
        store, pattern = open_file(self.path, patience_seconds=store_patience())
        if re.search(r"[*?]", store.url):
            raise BadConfiguration(f"source {self.name}: wildcards may stand only in the last part of {self.path!r}")
        if re.search(r"[*?]", pattern):
            names = [
                stat.name for stat in store.list("") if "/" not in stat.name and fnmatch.fnmatchcase(stat.name, pattern)
            ]
        else:
            names = [pattern] if store.stat(pattern) else []
        if not names:
            raise BadConfiguration(
                f"source {self.name}: there is no file {self.path!r}; correct `path`, or put it there"
            )
        return [File(store, name, store.version(name)) for name in names]

    def rows(self, file: File) -> Iterator[Row | BadRow]:
        """The rows of one file, in its order; raises BadData when it is not of this kind at all."""
        raise NotImplementedError


class TextSource(FileSource):
    """A source in text files."""

    encoding: ClassVar[str] = "utf-8"

    @contextmanager
    def lines(self, file: File) -> Iterator[TextIO]:
        """The file as text; bytes that are not UTF-8 become lone surrogates, by which `unreadable` knows them."""
        with file.binary() as binary:
            if binary.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                binary.seek(0)
            yield io.TextIOWrapper(binary, encoding=self.encoding, errors="surrogateescape", newline="")


def unreadable(text: str) -> str | None:
    """Why a text cannot be a prompt, or None."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "it is not valid UTF-8"
    if "\0" in text:
        return "it holds a NUL character"
    return None


def row_of(number: int, prompt: Any, **extra: Any) -> Row | BadRow:
    """A row if its prompt is readable text, otherwise a bad row that says why."""
    if not isinstance(prompt, str):
        return BadRow(number, f"its prompt is not text but {type(prompt).__name__}")
    reason = unreadable(prompt)
    return BadRow(number, reason) if reason else Row(number, prompt, extra)


def require_column(source: Source, file: File, columns: list[str], column: str) -> None:
    """Raises BadData unless the file has the column."""
    if column not in columns:
        raise BadData(
            f"source {source.name}: {file.label} has no column {column!r}, only {columns}; set `column` to the prompt's"
        )
