"""Texts that stand in a PNG file beside the pixels. https://www.w3.org/TR/png-3/#11textinfo"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from jobs.errors import BadData
from jobs.imaging.limits import ImageLimits

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST = 1 << 20  # bytes of a text, which a few of compressed data can claim to be


def text_of(data: bytes, keyword: str, limits: ImageLimits) -> str | None:
    """The first text of that keyword (tEXt, zTXt or iTXt) in a PNG's bytes, or None; raises BadData for no PNG."""
    for kind, content in _chunks(data, limits):
        name, _, rest = content.partition(b"\0")
        if name == keyword.encode():
            if kind == b"tEXt":
                return _checked(rest).decode("latin-1")
            if kind == b"zTXt":
                return _inflated(rest[1:]).decode("latin-1")
            if kind == b"iTXt":
                return _international(rest)
    return None


def _chunks(data: bytes, limits: ImageLimits) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        raise BadData("it is no PNG")
    position = len(_SIGNATURE)
    for _ in range(limits.parts):
        if position + 8 > len(data):
            return
        (size,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        position += 12 + size


def _international(rest: bytes) -> str:
    compressed, rest = rest[:1], rest[2:]
    _, _, rest = rest.partition(b"\0")  # the language
    _, _, text = rest.partition(b"\0")  # the keyword in that language
    return (_inflated(text) if compressed == b"\1" else _checked(text)).decode("utf-8", errors="surrogateescape")


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        return _checked(inflater.decompress(data, _MOST + 1))
    except zlib.error as error:
        raise BadData(f"its text cannot be inflated: {error}") from error


def _checked(text: bytes) -> bytes:
    if len(text) > _MOST:
        raise BadData(f"its text has more than {_MOST:,} bytes")
    return text
