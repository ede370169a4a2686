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
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Literal, TextIO, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from jobs.collect.sources.image_folder import IMAGES, ImageFolder
from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.rows import AnyRow, BadRow
from jobs.errors import BadConfiguration, BadData
from jobs.runtime.environment import store_patience
from jobs.runtime.spec import Params, without_defaults
from jobs.shards.address import open_file
from jobs.shards.store import Store

_BLOCK = 128 << 10
_EXPANDS_FREELY = 4 << 20  # bytes; so little does no harm, whatever it is made of: 4 million empty lines take 3 s

Line = tuple[int, str] | BadRow  # its number and text with its end, or why it is none


@dataclass(frozen=True, slots=True)
class File:
    """One file of a source: its store, its name in it, and the images beside it, where its rows name some.

    The name is empty where the rows follow from the images alone.
    """

    store: Store
    name: str
    images: ImageFolder | None = None

    def reads(self) -> dict[str, str]:
        """What is read, by its label: versions that are equal for equal content. Raises NotFound, StoreError."""
        own = {self.label: self.store.version(self.name)} if self.name else {}
        return own if self.images is None else {**own, IMAGES: self.images.version()}

    def size(self) -> int:
        """Bytes, 0 where there are none."""
        stat = self.store.stat(self.name) if self.name else None
        return stat.size if stat else 0

    @property
    def label(self) -> str:
        """The name in the source, without the folders that differ between machines."""
        return self.name or IMAGES

    @contextmanager
    def binary(self, limits: SourceLimits) -> Iterator[BinaryIO]:
        """The file's bytes, decompressed when its name ends in .gz; raises BadData when that expands too much."""
        with self.store.open(self.name) as file:
            if not self.name.endswith(".gz"):
                yield file
                return
            try:
                with gzip.open(file) as inside:
                    expanding = _Expanding(cast(BinaryIO, inside), file, self.label, limits.expansion)
                    yield io.BufferedReader(expanding, _BLOCK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise BadData(f"{self.label} is not a whole gzip file: {error}; fetch it again") from error


class _Expanding(io.RawIOBase):
    """A decompressed file that is not read further when it expands too much."""

    def __init__(self, inside: BinaryIO, outside: BinaryIO, label: str, most: float) -> None:
        self._inside, self._outside, self._label, self._most = inside, outside, label, most
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inside.read(min(len(buffer), _BLOCK))
        self._size += len(data)
        if self._size > max(_EXPANDS_FREELY, self._most * self._outside.tell()):
            raise BadData(
                f"{self._label} expands to {self._size:,} bytes and more, over {self._most:g} times what was read of "
                "it; if that is right, decompress it, or raise `limits.expansion` of the source"
            )
        buffer[: len(data)] = data
        return len(data)


class Source(Params):
    """What every source has. The order of the sources is their priority: of near duplicates the earliest is kept."""

    kind: str

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
    """Short name, part of the shards' names and of every prompt's provenance."""

    licence: str | None = None
    """The licence of the prompts, kept with each of them."""

    limit: int | None = Field(default=None, ge=1)
    """Read only so many rows of each file."""


class WrittenSource(Source):
    """A source that stands in no file, but writes its prompts."""

    def rows(self) -> Iterator[AnyRow]:
        """The prompts in their order."""
        raise NotImplementedError


class FileSource(Source):
    """A source that is in files."""

    read_by_content = frozenset({"path"})

    path: str
    """A file, or several with * and ? in the last part: a local path or s3://BUCKET/KEY. `.gz` is decompressed."""

    on_bad_row: Literal["fail", "skip"] = "fail"
    """What to do with a row that cannot be read: fail and name it, or skip it and count it."""

    limits: SourceLimits = SourceLimits()
    """What a file and its rows may take."""

    @model_serializer(mode="wrap")
    def _without_default_limits(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the limits that are not set: they are no part of what a fingerprint covers."""
        return without_defaults(self, serialise, "limits")

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
        return [File(store, name) for name in names]

    def rows(self, file: File) -> Iterator[AnyRow]:
        """The rows of one file, in its order; raises BadData when it is not of this kind at all, or takes too much."""
        raise NotImplementedError


class TextSource(FileSource):
    """A source in text files; one whose rows are lines defines `row`."""

    encoding: ClassVar[str] = "utf-8"

    def rows(self, file: File) -> Iterator[AnyRow]:
        with self.lines(file) as lines:
            for line in lines:
                if row := line if isinstance(line, BadRow) else self.row(*line):
                    yield row

    def row(self, number: int, text: str) -> AnyRow | None:
        """The row of one line, which stands there with its end; None where it is no row."""
        raise NotImplementedError

    @contextmanager
    def lines(self, file: File) -> Iterator[Iterator[Line]]:
        """The file's lines; bytes that are not UTF-8 become lone surrogates, for which a row is refused."""
        with file.binary(self.limits) as binary:
            buffered = (
                binary if isinstance(binary, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, binary))
            )
            if buffered.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
                buffered.read(len(codecs.BOM_UTF8))
            text = io.TextIOWrapper(buffered, encoding=self.encoding, errors="surrogateescape", newline="")
            yield bounded_lines(text, self.limits.line_characters)


def bounded_lines(text: TextIO, most: int) -> Iterator[Line]:
    """The lines, counted from 1, of which one that is too long is never held whole."""
    number = 0
    while line := text.readline(most):
        number += 1
        if len(line) < most or line[-1] in "\r\n":
            yield number, line
            continue
        while (rest := text.readline(most)) and rest[-1] not in "\r\n":
            pass
        yield BadRow(number, f"it has more than {most:,} characters")


def require_column(source: Source, file: File, columns: list[str], column: str) -> None:
    """Raises BadData unless the file has the column."""
    if column not in columns:
        raise BadData(
            f"source {source.name}: {file.label} has no column {column!r}, only {columns}; set `column` to the prompt's"
        )
