"""GIF, as far as to see its size before memory is taken for it. https://www.w3.org/Graphics/GIF/spec-gif89a.txt

Pillow itself refuses one that is cut in its first frame; later frames are not looked at.
"""

from __future__ import annotations

import struct

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import check_parts, check_size

_HEADER = 13
_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_MOST_BEFORE = 1 << 20  # bytes before the first frame: Pillow joins a comment's blocks in quadratic time


def check_gif(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for a GIF whose first frame is missing, or too large, or comes after too much else."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        check_size(width, height, limits)
        position, parts = _HEADER + _table(flags), 0
        while data[position] != _FRAME:
            if data[position] == _END:
                break
            position, parts = _after(data, position, parts)
            check_parts(parts, limits)
            if position > _MOST_BEFORE:
                raise BadImage("a GIF with too much before its first frame", "a GIF whose first frame comes too late")
        else:
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
            check_size(left + width, top + height, limits)
            if width and height:
                return
    except (struct.error, IndexError) as error:
        raise BadImage("a GIF that ends before its first frame", DAMAGED) from error
    raise BadImage("a GIF without a frame", DAMAGED)


def _table(flags: int) -> int:
    """Bytes of the table of colours that follows, if one does."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after(data: bytes, position: int, parts: int) -> tuple[int, int]:
    """Where what follows an extension, or a stray byte, begins; and the parts counted, its blocks among them."""
    if data[position] != _EXTENSION:
        return position + 1, parts + 1
    position += 2
    while size := data[position]:
        position += 1 + size
        parts += 1
    return position + 1, parts + 1
