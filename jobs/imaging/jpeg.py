"""JPEG, as far as to see how much work a file is, and whether it was cut. https://www.w3.org/Graphics/JPEG/itu-t81.pdf

Whether the data of a scan is whole shows only in its Huffman codes. libjpeg notices, pads with grey and warns, which
Pillow does not pass on; the simplejpeg library does.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import simplejpeg
from PIL import Image

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import CUT_SHORT, check_parts, check_size

_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_IN_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length
_START_OF_SCAN, _END, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_COEFFICIENTS = 64
# What libjpeg warns of where data is missing or wrong; of other things, such as stray bytes, cameras are the cause.
_BROKEN = ("premature end", "bad Huffman code", "bad arithmetic code", "found marker", "Corrupt JPEG data: bad")

Segment = tuple[int, int, int]  # marker, where its content begins and ends


def check_jpeg(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for a JPEG that is too large, too much work, or without a part of its scans."""
    pixels = scans = parts = 0
    frame: tuple[int, bytes] | None = None
    exact: dict[int, list[int | None]] = {}  # of each component, the bits that its coefficients still lack
    for parts, (marker, start, end) in enumerate(_segments(data, limits), 1):
        check_parts(parts, limits)
        if marker in _FRAMES:
            if frame:
                raise BadImage("a JPEG with several frames", DAMAGED)
            frame = marker, data[start:end]
            pixels = _pixels(frame[1], limits)
            exact = {component: [None] * _COEFFICIENTS for component in frame[1][6::3]}
        elif marker == _START_OF_SCAN:
            scans += 1
            if scans > limits.scans or scans * pixels > limits.scanned_pixels:
                reason = f"a JPEG of more than {limits.scans} scans, or {limits.scanned_pixels:,} pixels in all of them"
                raise BadImage(f"{scans} scans of {pixels:,} pixels", reason)
            _note(data[start:end], exact, progressive=frame is not None and frame[0] in _PROGRESSIVE)
    if frame is None or not scans:
        raise BadImage(f"a JPEG without image data in {parts} segments", DAMAGED)
    if any(bits != 0 for bits in _lacking(exact)):
        raise BadImage(f"a JPEG that lacks some of its scans, it has {scans}", CUT_SHORT)


def decode_jpeg(data: bytes) -> Image.Image | None:
    """The image as RGB or L, or None for what is left to Pillow; raises BadImage where a part of a scan is missing.

    Both use libjpeg-turbo, so the pixels are those of Pillow, in two thirds of its time. Left to Pillow are CMYK,
    which is only looked through here at an eighth of the size, and images of which the decoder complains otherwise.
    """
    try:
        space = _space(data)
        if space in ("CMYK", "YCCK"):
            simplejpeg.decode_jpeg(data, "CMYK", min_height=1, min_width=1, min_factor=8, strict=True)
            return None
        if space == "Gray":
            return Image.fromarray(simplejpeg.decode_jpeg(data, "GRAY", strict=True)[..., 0])
        return Image.fromarray(simplejpeg.decode_jpeg(data, "RGB", strict=True))
    except ValueError as error:
        if any(words in str(error) for words in _BROKEN):
            raise BadImage(f"a JPEG that is not whole: {error}", CUT_SHORT) from error
        return None


def beside_pixels(data: bytes, limits: ImageLimits) -> dict[str, bytes]:
    """The EXIF and the ICC profile of a JPEG, as `exif` and `icc_profile`, where it has them: as Pillow reads them."""
    found: dict[str, bytes] = {}
    profile: list[bytes] = []
    for marker, start, end in _segments(data, limits):
        if marker == _START_OF_SCAN:
            break
        if marker == _APP1 and data.startswith(_EXIF, start, end):
            found.setdefault("exif", data[start:end])
        elif marker == _APP2 and data.startswith(_PROFILE, start, end):
            profile.append(data[start + len(_PROFILE) : end])  # its number from 1, how many there are, and a part
    if profile and profile[0][1:2] == bytes([len(profile) & 255]):
        found["icc_profile"] = b"".join(part[2:] for part in sorted(profile))
    return found


def _space(data: bytes) -> str | None:
    try:
        return str(simplejpeg.decode_jpeg_header(data, strict=False)[2])
    except KeyError:  # of a subsampling that the library has no name for, and decodes
        return None


def _segments(data: bytes, limits: ImageLimits) -> Iterator[Segment]:
    """The segments up to the end marker; a scan's data belongs to none. Raises BadImage for too many stray bytes."""
    position, search, stray = 2, _MARKER, 0
    while found := search.search(data, position):
        marker = found[1][0]
        if search is _MARKER:
            stray += found.start() - position
            check_parts(stray, limits)
        if marker == _END:
            return
        position, search = found.end(), _MARKER
        if marker in _ALONE:
            continue
        if position + 2 > len(data):
            return
        (size,) = struct.unpack_from(">H", data, position)
        yield marker, position + 2, position + size
        position += max(size, 2)
        if marker == _START_OF_SCAN:
            search = _IN_SCAN
    check_parts(len(data) - position if search is _MARKER else 0, limits)


def _pixels(frame: bytes, limits: ImageLimits) -> int:
    try:
        _, height, width, _ = struct.unpack_from(">BHHB", frame)
    except struct.error as error:
        raise BadImage("a JPEG without a whole header", DAMAGED) from error
    check_size(width, height, limits)
    return int(width * height)


def _note(scan: bytes, exact: dict[int, list[int | None]], *, progressive: bool) -> None:
    """Note what a scan brings: of its components, the coefficients `first` to `last` down to a bit."""
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        raise BadImage("a JPEG whose scan has no whole header", DAMAGED)
    first, last, bits = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
    if not progressive:
        first, last, bits = 0, _COEFFICIENTS - 1, 0
    for component in scan[1 : 1 + 2 * count : 2]:
        for position in range(first, min(last, _COEFFICIENTS - 1) + 1):
            if component in exact:
                exact[component][position] = bits


def _lacking(exact: dict[int, list[int | None]]) -> Iterator[int | None]:
    for coefficients in exact.values():
        yield from coefficients
