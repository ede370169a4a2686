"""Files of lines as they were written: what cannot be UTF-8 is refused at once, and every byte can be written again."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from jobs.collect.sources.base import File, bounded_lines
from jobs.collect.sources.encodings import CONTAINERS
from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.rows import BadRow
from jobs.errors import BadData
from jobs.shards.local import LocalStore

# Those of sources, but for the sandbox of parquet: row groups of a million rows are usual in files of one's own.
LIMITS = SourceLimits(memory_mib=4096, seconds=600)

MARK = "\ufeff"  # of UTF-8, which spreadsheets write first
_LOOKED_AT = 1024
_ENCODING, _ERRORS = "utf-8", "surrogateescape"  # gives back every byte that was read, also of what is no UTF-8
_STARTS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before that of UTF-16, which it begins with
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_CONTAINERS = {**CONTAINERS, b"PAR1": "parquet: let its name end in .parquet"}


def opened(path: Path) -> File:
    """The file as sources read theirs."""
    return File(LocalStore(path.parent), path.name)


@contextmanager
def lines_of(path: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """What stands before the first line, a mark of UTF-8 or nothing, and the lines with their ends."""
    with opened(path).binary(LIMITS) as binary:
        buffered = _buffered(binary)
        start = buffered.peek(_LOOKED_AT)[:_LOOKED_AT]
        _refuse_others(start, path)
        mark = MARK if start.startswith(codecs.BOM_UTF8) else ""
        buffered.read(len(mark.encode()))
        text = io.TextIOWrapper(buffered, encoding=_ENCODING, errors=_ERRORS, newline="")
        yield mark, _whole(bounded_lines(text, LIMITS.line_characters), path)


def as_bytes(text: str) -> bytes:
    """The bytes that a text was read from."""
    return text.encode(_ENCODING, _ERRORS)


def not_utf8(path: Path, where: str) -> BadData:
    """The error for bytes that are no UTF-8, which says what they may be."""
    return BadData(
        f"{path}: {where} is not UTF-8; if the file is in Latin-1 (or Windows-1252), convert it: "
        f"`iconv -f WINDOWS-1252 -t UTF-8 {path.name} > converted{path.suffix}`"
    )


def changed(path: Path) -> BadData:
    """The error for a file that is not what it was when its prompts were read."""
    return BadData(f"{path} changed while it was filtered; run again when nothing writes to it")


def _buffered(binary: BinaryIO) -> io.BufferedReader:
    return binary if isinstance(binary, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, binary))


def _refuse_others(start: bytes, path: Path) -> None:
    encoding = next((name for mark, name in _STARTS.items() if start.startswith(mark)), None)
    if encoding or start.count(b"\0") > len(start) // 4:
        name = encoding or "UTF-16"
        raise BadData(
            f"{path} is {'' if encoding else 'probably '}in {name}, required is UTF-8; convert it: "
            f"`iconv -f {name} -t UTF-8 {path.name} > converted{path.suffix}`"
        )
    for mark, what in _CONTAINERS.items():
        if start.startswith(mark):
            raise BadData(f"{path} is {what}")


def _whole(lines: Iterator[tuple[int, str] | BadRow], path: Path) -> Iterator[str]:
    for line in lines:
        if isinstance(line, BadRow):
            raise BadData(f"{path}: line {line.number} cannot be read: {line.reason}")
        yield line[1]
