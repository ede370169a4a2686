"""PNG, as far as to see whether a file holds all rows that it says it does. https://www.w3.org/TR/png-3/"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import CUT_SHORT, check_parts, check_size

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BLOCK = 256 << 10  # bytes inflated at once
_SIGNATURE = 8

Header = tuple[int, int, int, int, int]  # width, height, bits, colour type, interlaced


def check_png(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for a PNG that is too large, has too many chunks, or several headers."""
    headers = parts = 0
    for parts, (kind, start, end) in enumerate(_chunks(data), 1):
        check_parts(parts, limits)
        if kind == b"IHDR":
            headers += 1
            width, height, *_ = _header(data[start:end])
            check_size(width, height, limits)
        if kind == b"IEND":
            break
    if headers != 1:
        raise BadImage(f"a PNG with {headers} headers among {parts} chunks", DAMAGED)


def check_png_is_whole(data: bytes, image: Image.Image) -> None:
    """Raise BadImage when the file holds fewer rows than `image`, which is as Pillow decoded it.

    Pillow writes whole rows, in their order. So a last row of several colours was there, and only another one, or an
    interlaced image, costs another inflating.
    """
    chunks = list(_chunks(data))
    header = next(_header(data[start:end]) for kind, start, end in chunks if kind == b"IHDR")
    row = image.crop((0, image.height - 1, image.width, image.height))
    if not header[4] and not _is_of_one_colour(row):
        return
    required = _size(*header)
    if _inflated([data[start:end] for kind, start, end in chunks if kind == b"IDAT"], required) < required:
        raise BadImage(f"a PNG of {header[0]} x {header[1]} without its last rows", CUT_SHORT)


def _is_of_one_colour(image: Image.Image) -> bool:
    extrema = image.getextrema()
    channels = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(least == most for least, most in channels)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk, and where its content begins and ends; the last one may be cut."""
    position = _SIGNATURE
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], position + 8, position + 8 + size
        position += 12 + size


def _header(content: bytes) -> Header:
    try:
        width, height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content)
        _CHANNELS[colour]
    except (struct.error, KeyError) as error:
        raise BadImage("a PNG without a whole header", DAMAGED) from error
    return width, height, bits, colour, interlaced


def _size(width: int, height: int, bits: int, colour: int, interlaced: int) -> int:
    """Bytes of the filtered rows: one for the filter, then the pixels, of each of the passes."""

    def rows(columns: int, lines: int) -> int:
        return lines * (1 + (columns * bits * _CHANNELS[colour] + 7) // 8) if columns else 0

    if not interlaced:
        return rows(width, height)
    return sum(
        rows(-(-(width - x) // across), -(-(height - y) // down))
        for x, y, across, down in _ADAM7
        if width > x and height > y
    )


def _inflated(parts: list[bytes], most: int) -> int:
    """How many bytes the data holds, counted up to `most`."""
    inflater, count = zlib.decompressobj(), 0
    try:
        for part in parts:
            while part and count < most and not inflater.eof:
                count += len(inflater.decompress(part, _BLOCK))
                part = inflater.unconsumed_tail
        while count < most and not inflater.eof and (more := inflater.decompress(b"", _BLOCK)):
            count += len(more)
    except zlib.error as error:
        raise BadImage(f"a PNG whose data cannot be inflated: {error}", DAMAGED) from error
    return count
