"""WebP, as far as to see its size before a decoder takes memory for it. https://developers.google.com/speed/webp/docs/riff_container"""

from __future__ import annotations

import struct

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import CUT_SHORT, check_parts, check_size

_HEADER = 12


def check_webp(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for a WebP that is too large, has too many chunks, or is shorter than it says."""
    if len(data) < _HEADER + 18 or data[8:12] != b"WEBP":
        raise BadImage("a RIFF file that is no WebP", DAMAGED)
    (declared,) = struct.unpack_from("<I", data, 4)
    if declared + 8 > len(data):
        raise BadImage(f"a WebP of {declared + 8:,} bytes, of which {len(data):,} are there", CUT_SHORT)
    position, parts = _HEADER, 0
    while position + 8 <= declared + 8:
        parts += 1
        check_parts(parts, limits)
        kind, (size,) = data[position : position + 4], struct.unpack_from("<I", data, position + 4)
        if found := _size_in(kind, data[position + 8 : position + 18]):
            check_size(*found, limits)
        position += 8 + size + size % 2


def _size_in(kind: bytes, start: bytes) -> tuple[int, int] | None:
    """Width and height, where this chunk holds them."""
    if kind == b"VP8X" and len(start) == 10:
        return 1 + int.from_bytes(start[4:7], "little"), 1 + int.from_bytes(start[7:10], "little")
    if kind == b"VP8 " and len(start) == 10:
        width, height = struct.unpack_from("<HH", start, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(start) >= 5:
        bits = int.from_bytes(start[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
