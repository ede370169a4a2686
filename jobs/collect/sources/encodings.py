"""Text files in the encoding that they were written in: a mark at the beginning says it, else the source does."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from encodings.aliases import aliases
from typing import Annotated, BinaryIO, TextIO, cast

from pydantic import AfterValidator

from jobs.errors import BadData
from jobs.registry import refused

UTF8 = "utf-8"
CONTAINERS = {
    b"\x1f\x8b": "compressed with gzip: let its name end in .gz",
    b"PK\x03\x04": "a zip file, as spreadsheets are: save it as CSV in UTF-8",
}
"""What files that are no text begin with, and what they are."""

_PARQUET = b"PAR1\x15"  # the magic number and the first byte of its first page
_MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32-le",  # before that of UTF-16, which it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NO_FILES = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"}
_NOT_WESTERN = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D, 0xFE, 0xFF))  # undefined in Windows-1252, or no letter of a word
_LONE = re.compile("[\udc80-\udcff]")
_WORDS = re.compile(rb"[A-Za-z\x80-\xff]")


def _known(name: str) -> str:
    known = sorted({*aliases, *aliases.values()})
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):  # ValueError of a name with a NUL
        raise ValueError(f"encoding: {refused(name, known) or 'this system has no ' + repr(name)}") from None
    if found in _NO_FILES or not _is_of_text(found):
        raise ValueError(f"encoding: {found!r} is none that files of text are written in, such as utf-16 or cp1252")
    return found


def _is_of_text(name: str) -> bool:
    try:
        "".encode(name)
    except LookupError:  # a codec from bytes to bytes, as base64 is
        return False
    return True


Encoding = Annotated[str, AfterValidator(_known)]
"""The name of an encoding that Python knows, in the one way in which Python writes it."""


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - files are only read
    return "\udcff", error.end


# `surrogateescape` can stand for bytes above 127 only, and for others ends the file: half a character of UTF-16.
_ERRORS = "jobs.collect.undecodable"
codecs.register_error(_ERRORS, _undecodable)


@contextmanager
def decoded(binary: BinaryIO, label: str, encoding: str) -> Iterator[TextIO]:
    """The text in an open file; bytes that are none become lone surrogates. Raises BadData for a file of another kind.

    Line ends stay as they are. A mark at the beginning decides on the encoding, and is no part of the text.
    """
    buffered = binary if isinstance(binary, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, binary))
    start = buffered.peek(8)
    for magic, what in {**CONTAINERS, _PARQUET: "parquet: set `kind: parquet`"}.items():
        if start.startswith(magic):
            raise BadData(f"{label} is no text but {what}")
    for mark, marked in _MARKS.items():
        if start.startswith(mark):
            buffered.read(len(mark))
            encoding = marked
            break
    errors = "surrogateescape" if encoding == UTF8 else _ERRORS
    yield io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline="")


def likely_encoding(data: bytes) -> str | None:
    """The encoding that bytes which are not all ASCII are probably written in; None where it may be any."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if 4 * odd > len(data) // 2 > 16 * even:  # of European text, nearly every second byte
        return "utf-16-le"
    if 4 * even > len(data) // 2 > 16 * odd:
        return "utf-16-be"
    text = data.decode(UTF8, "surrogateescape")
    lone = len(_LONE.findall(text))
    if lone <= sum(character > "\x7f" for character in text) - lone:  # not by chance: more are whole than are not
        return UTF8
    high = len(data) - len(data.translate(None, bytes(range(128, 256))))
    is_western = not any(byte in data for byte in _NOT_WESTERN) and 2 * high < len(_WORDS.findall(data))
    return "cp1252" if is_western else None
