"""BMP, as far as to see its size. https://learn.microsoft.com/windows/win32/gdi/bitmap-storage

Pillow itself refuses one that lacks rows; compressed ones it decodes pixel by pixel in Python.
"""

from __future__ import annotations

import struct

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import check_size

_OLD_HEADER = 12
_RLE = (1, 2)
_MOST_COMPRESSED = 4 << 20  # bytes, and pixels: 2 s


def check_bmp(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for a BMP that is too large, or too much work."""
    try:
        (size,) = struct.unpack_from("<I", data, 14)
        if size == _OLD_HEADER:
            (width, height), compression = struct.unpack_from("<HH", data, 18), 0
        else:
            width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    except struct.error as error:
        raise BadImage("a BMP without a whole header", DAMAGED) from error
    check_size(abs(width), abs(height), limits)
    if compression in _RLE and max(len(data), abs(width * height)) > _MOST_COMPRESSED:
        most = f"{_MOST_COMPRESSED:,}"
        raise BadImage(
            f"a compressed BMP of {width} x {height} in {len(data):,} bytes",
            f"a compressed BMP of more than {most} pixels or bytes",
        )
