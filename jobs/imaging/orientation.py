"""Which way up an image is to be shown, as cameras note it in EXIF. https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf

Read here and not by Pillow, which reads all other entries too: a few bytes can claim that these are gigabytes.
"""

from __future__ import annotations

import struct

from PIL import Image

_TAG = 0x0112
_SHORT, _LONG = 3, 4
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_in(exif: bytes) -> int:
    """The orientation in a block of EXIF, 1 to 8; 1, upright, also where there is none or the block is damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for position in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, position)
            if tag == _TAG and kind in (_SHORT, _LONG):
                (value,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), exif, position + 8)
                return int(value) if value in _TURNS else 1
    except struct.error:
        pass
    return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned and mirrored as its orientation says; the image itself where that is 1."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
