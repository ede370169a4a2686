"""Untrusted images: looked at before they are decoded, and refused where a part of them is missing.

Pillow decodes a PNG whose data ends early, or a JPEG that was cut and closed with an end marker, without a word: what
is missing is black or grey. It also goes through as many scans and chunks as there are. Runs in a sandbox, which
pixel_service.py describes for those who ask.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from PIL import Image

from jobs.imaging.decoding import BadImage, decode, resized
from jobs.imaging.jpeg import check_jpeg, decode_jpeg
from jobs.imaging.limits import ImageLimits
from jobs.imaging.pixel_service import PIXELS, Answer, Decoded, PixelsRequest, Undecodable
from jobs.imaging.png import check_png, check_png_is_whole
from jobs.imaging.webp import check_webp
from jobs.runtime.sandbox.messages import Server

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_CHECKS: tuple[tuple[bytes, Callable[[bytes, ImageLimits], None]], ...] = (
    (_PNG, check_png),
    (_JPEG, check_jpeg),
    (b"RIFF", check_webp),
)


def decode_foreign(data: bytes, name: str, limits: ImageLimits) -> Image.Image:
    """The whole image as RGB, the same pixels as `decode` gives; raises BadImage also for what exceeds the limits."""
    try:
        for magic, check in _CHECKS:
            if data.startswith(magic):
                check(data, limits)
        image = decode_jpeg(data) if data.startswith(_JPEG) else None
        image = image or decode(data, name, limits.pixels)
        if data.startswith(_PNG):
            check_png_is_whole(data, image)
        return image
    except BadImage as error:
        raise error if str(error).startswith(name) else BadImage(f"{name}: {error}", error.reason) from error


def _start(limits: ImageLimits) -> Callable[[PixelsRequest, bytes], Iterator[tuple[Answer, bytes]]]:
    _load_decoders(limits)

    def serve(request: PixelsRequest, data: bytes) -> Iterator[tuple[Answer, bytes]]:
        try:
            image = decode_foreign(data, request.name, limits)
        except BadImage as error:
            yield Undecodable(message=str(error), reason=error.reason), b""
            return
        pixels = resized(image, request.size, resize=request.resize).tobytes()
        yield Decoded(width=image.width, height=image.height), pixels

    return serve


SERVER = Server(PIXELS, _start)


def _load_decoders(limits: ImageLimits) -> None:
    """Decode an image of each kind, so that all modules are there before no file can be opened any more."""
    for form in ("PNG", "JPEG", "WEBP"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, form)
        resized(decode_foreign(file.getvalue(), form, limits), 4).tobytes()
        for data in (file.getvalue()[:-8], file.getvalue()[:20]):
            try:
                decode_foreign(data, form, limits)
            except BadImage:
                continue
