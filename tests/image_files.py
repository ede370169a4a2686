"""Parts of image files that Pillow does not write: 16-bit colours, orientations, and profiles of other colours."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.hostile.images import PNG_SIGNATURE, chunk

pillow_heif.register_heif_opener()  # to write HEIC with Pillow

Words = NDArray[np.uint16]
Transpose = Image.Transpose

# By the orientation that is noted: how a picture is stored, so that it is upright when that is heeded.
TURNED: dict[int, Callable[[Image.Image], Image.Image]] = {
    2: lambda image: image.transpose(Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Transpose.ROTATE_180),
    4: lambda image: image.transpose(Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Transpose.ROTATE_90),
    7: lambda image: image.transpose(Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Transpose.ROTATE_270),
}


def with_exif(orientation: int, order: str = ">") -> bytes:
    """EXIF with nothing but an orientation."""
    mark = b"MM" if order == ">" else b"II"
    entry = struct.pack(f"{order}HHIHxx", 0x0112, 3, 1, orientation)
    return b"Exif\0\0" + mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)


def png16(words: Words, transparency: Sequence[int] = ()) -> bytes:
    """A PNG of 16 bits a channel: words of shape (height, width) or (height, width, channels)."""
    words = words[..., None] if words.ndim == 2 else words
    height, width, channels = words.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in words)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    hidden = chunk(b"tRNS", struct.pack(f">{len(transparency)}H", *transparency)) if transparency else b""
    return PNG_SIGNATURE + header + hidden + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def tiff_of_words(words: Words, order: str = "<") -> bytes:
    """A TIFF of 16 bits a channel, not compressed: words of shape (height, width, channels)."""
    height, width, channels = words.shape
    data = words.astype(f"{order}u2").tobytes()
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    first = 8 + len(bits)
    where_bits = 8 if channels > 2 else int.from_bytes(bits.ljust(4, b"\0"), "little" if order == "<" else "big")
    tags = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, channels, where_bits),
        262: (4, 1, 2 if channels > 2 else 1),
        273: (4, 1, first),
        277: (4, 1, channels),
        278: (4, 1, height),
        279: (4, 1, len(data)),
    }
    entries = b"".join(struct.pack(f"{order}HHII", tag, *values) for tag, values in tags.items())
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, first + len(data)) + bits
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 for a display."""
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return head.ljust(128, b"\0") + table + body


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


_ABOUT = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
_WHITE = _xyz(0.9642, 1.0, 0.8249)


def rgb_profile(red: Sequence[float], green: Sequence[float], blue: Sequence[float], gamma: float) -> bytes:
    """A profile of these primaries (XYZ of D50) and this gamma."""
    primaries = {b"rXYZ": _xyz(*red), b"gXYZ": _xyz(*green), b"bXYZ": _xyz(*blue)}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma))
    return _profile(b"RGB ", {b"desc": _ABOUT, b"cprt": _ABOUT, b"wtpt": _WHITE, **primaries, **curves})


DISPLAY_P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
ADOBE_RGB = rgb_profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), 2.2)
GREY_GAMMA = _profile(b"GRAY", {b"desc": _ABOUT, b"cprt": _ABOUT, b"wtpt": _WHITE, b"kTRC": _gamma(1.4)})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def in_colours_of(image: Image.Image, profile: bytes) -> Image.Image:
    """The numbers that show an image of sRGB in a profile's colours."""
    srgb, other = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
    found = ImageCms.profileToProfile(image.convert("RGB"), srgb, other, outputMode=image.mode)
    assert found is not None
    return found
