"""What a source is: named files (or none), and rows read from them one at a time."""

from __future__ import annotations

import fnmatch
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Literal, TextIO, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from jobs.collect.sources.columns import found_column, likely_column, listed
from jobs.collect.sources.encodings import UTF8, Encoding, decoded, likely_encoding
from jobs.collect.sources.image_folder import IMAGES, ImageFolder
from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.rows import NOT_TEXT, AnyRow, BadRow
from jobs.errors import BadConfiguration, BadData
from jobs.runtime.environment import private_hosts, store_patience
from jobs.runtime.spec import Params, without_defaults
from jobs.shards.address import open_file
from jobs.shards.store import Downloads, Readable

_BLOCK = 128 << 10
_BLOCKS_LOOKED_AT = 512  # for a byte that is not ASCII: 64 MiB
_EXPANDS_FREELY = 4 << 20  # bytes; so little does no harm, whatever it is made of: 4 million empty lines take 3 s

Line = tuple[int, str] | BadRow  # its number and text with its end, or why it is none


@dataclass(frozen=True, slots=True)
class File:
    """One file of a source: what holds it, its name there, and the images beside it, where its rows name some.

    The name is empty where the rows follow from the images alone.
    """

    store: Readable
    name: str
    images: ImageFolder | None = None
    processes: int = 1  # that may decode it at once, where its kind can use several

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
    added_later: ClassVar[frozenset[str]] = frozenset({"limits"})
    """Parameters that are no part of what a fingerprint covers while they have their defaults."""

    path: str
    """A file, or several with * and ? in the last part: a local path, s3://BUCKET/KEY, or
    hf://datasets/OWNER/NAME@COMMIT/PATH of the Hugging Face hub, at a commit of 40 digits; or one file at
    https://HOST/PATH. `.gz` is decompressed."""

    on_bad_row: Literal["fail", "skip"] = "fail"
    """What to do with a row that cannot be read: fail and name it, or skip it and count it."""

    limits: SourceLimits = SourceLimits()
    """What a file and its rows may take."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(self, serialise, *self.added_later)

    def files(self) -> list[File]:
        """The files that `path` names, sorted; raises BadConfiguration when there is none."""
        store, pattern = open_file(self.path, patience_seconds=store_patience(), downloads=self.downloads())
        if re.search(r"[*?]", store.url):
            raise BadConfiguration(f"source {self.name}: wildcards may stand only in the last part of {self.path!r}")
        if re.search(r"[*?]", pattern):
            names = [
                stat.name for stat in store.list("") if "/" not in stat.name and fnmatch.fnmatchcase(stat.name, pattern)
            ]
        else:
            names = [pattern] if pattern and store.stat(pattern) else []
        if not names:
            is_folder = any(True for _ in store.list(f"{pattern}/" if pattern else ""))
            what_to_do = (
                f"that is a folder: name the files in it, as in `path: {self.path.rstrip('/')}/*.csv`"
                if is_folder
                else "correct `path`, or put it there"
            )
            raise BadConfiguration(f"source {self.name}: there is no file {self.path!r}; {what_to_do}")
        return [File(store, name) for name in names]

    def downloads(self) -> Downloads:
        """What may be downloaded of a file, and from where."""
        return Downloads(self.limits.download_mib << 20, self.limits.download_seconds, private_hosts())

    def rows(self, file: File) -> Iterator[AnyRow]:
        """The rows of one file, in its order; raises BadData when it is not of this kind at all, or takes too much."""
        raise NotImplementedError

    def advice(self, file: File, row: BadRow) -> str:
        """What to do about a row that cannot be read, for the error that names it."""
        return "correct the row, or set `on_bad_row: skip` to leave such rows out and count them"


class TextSource(FileSource):
    """A source in text files; one whose rows are lines defines `row`."""

    added_later = FileSource.added_later | {"encoding"}

    encoding: Encoding = UTF8
    """The encoding of the files, by a name that Python knows: utf-16, latin-1, cp1252, gb18030, ... A file that begins
    with the mark of UTF-8, UTF-16 or UTF-32 (a BOM) is read as that."""

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
        """The file's lines; bytes that are not in its encoding become lone surrogates, for which a row is refused."""
        with file.binary(self.limits) as binary, decoded(binary, file.label, self.encoding) as text:
            yield bounded_lines(text, self.limits.line_characters)

    def advice(self, file: File, row: BadRow) -> str:
        return (row.reason.endswith(NOT_TEXT) and self.other_encoding(file)) or super().advice(file, row)

    def other_encoding(self, file: File) -> str:
        """What to do where the file is probably not in the encoding that it is read in; else empty."""
        with file.binary(self.limits) as binary:
            for _ in range(_BLOCKS_LOOKED_AT):
                block = binary.read(_BLOCK)
                if not block or not block.isascii() or b"\0" in block:
                    break
        likely = likely_encoding(block)
        if likely is None or likely == self.encoding:
            return ""
        return f"it is read as {self.encoding} and is probably {likely}: set `encoding: {likely}` of the source"


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


def column_named(
    source: Source, file: File, columns: Sequence[str], wanted: str, hint: Callable[[], str] = lambda: ""
) -> str:
    """The column of that name, in any case where none has it exactly; raises BadData where that is not one column.

    `hint` gives what may be wrong beside the name, or nothing.
    """
    try:
        found = found_column(columns, wanted)
    except ValueError as error:
        raise BadData(f"source {source.name}: {file.label} has several columns {wanted!r}: {error}") from error
    if found is None:
        advice = hint() or _what_to_set(source, columns, wanted)
        raise BadData(f"source {source.name}: {file.label} has no column {wanted!r}, only {listed(columns)}; {advice}")
    return found


def _what_to_set(source: Source, columns: Sequence[str], wanted: str) -> str:
    """Where a column that is not there is named, if it is named at all and not just how the source is published."""
    parameter = next((name for name, value in source if value == wanted), None)
    if parameter is None:
        return f"files of kind {source.kind} are read as published; read others as csv, tsv, jsonl or parquet"
    likely = likely_column(columns, wanted) if parameter == "column" else None
    return f"set `{parameter}` to one of these" + (f", probably `{parameter}: {likely}`" if likely else "")
