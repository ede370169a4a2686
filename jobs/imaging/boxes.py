"""AVIF and HEIC, as far as to see their sizes, and whether they were cut: boxes in boxes, as ISO/IEC 14496-12 has them.

https://aomediacodec.github.io/av1-avif/ tells which boxes there are. The libraries that decode them find by themselves
what lies outside of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import CUT_SHORT, check_parts, check_size

_HEAD = 8
_IN_BOXES = {  # boxes that hold boxes, after so many bytes of their own
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
    b"stsd": 8,
    b"iinf": 6,
}
_SAMPLES = (b"av01", b"hvc1", b"hev1")  # how the frames of a sequence are coded
_DEEPEST = 10


def check_boxes(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for an AVIF or HEIC in which anything is too large, with too many boxes, or cut short."""
    parts = sizes = 0
    for parts, (kind, start, end) in enumerate(_boxes(data, 0, len(data), 0), 1):
        check_parts(parts, limits)
        if kind == b"ispe" and end - start >= 12:
            width, height = struct.unpack_from(">II", data, start + 4)
            check_size(width, height, limits)
            sizes += 1
        elif kind in _SAMPLES and end - start >= 28:
            width, height = struct.unpack_from(">HH", data, start + 24)
            check_size(width, height, limits)
            sizes += 1
    if not sizes:
        raise BadImage(f"an AVIF or HEIC without a size among {parts} boxes", DAMAGED)


def _boxes(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Every box, those within others too: its kind, and where its content begins and ends."""
    while start + _HEAD <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = _HEAD
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        elif size == 0:  # to the end of the file
            size = end - start
        if size < head:
            raise BadImage(f"a box {kind!r} of {size} bytes", DAMAGED)
        if start + size > end:
            reason = DAMAGED if depth else CUT_SHORT
            raise BadImage(f"a box {kind!r} of {size:,} bytes, of which {end - start:,} are there", reason)
        yield kind, start + head, start + size
        if kind in _IN_BOXES and depth < _DEEPEST:
            yield from _boxes(data, start + head + _IN_BOXES[kind], start + size, depth + 1)
        start += size
