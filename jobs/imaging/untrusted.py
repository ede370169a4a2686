"""Untrusted images: looked at before they are decoded, and refused where a part of them is missing.

Pillow decodes a PNG whose data ends early, or a JPEG that was cut and closed with an end marker, without a word: what
is missing is black or grey. It also goes through as many scans and chunks as there are. Runs in a sandbox, which
pixel_service.py describes for those who ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image

from jobs.imaging.bmp import check_bmp
from jobs.imaging.boxes import check_boxes
from jobs.imaging.colour import as_rgb
from jobs.imaging.decoding import BadImage, opened, resized, scaled_down
from jobs.imaging.examples import examples
from jobs.imaging.gif import check_gif
from jobs.imaging.jpeg import beside_pixels, check_jpeg, decode_jpeg
from jobs.imaging.kinds import AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF, WEBP, Kind, kind_of
from jobs.imaging.limits import WHITE, ImageLimits
from jobs.imaging.pixel_service import PIXELS, Answer, Decoded, PixelsRequest, Undecodable
from jobs.imaging.png import check_png, check_png_is_whole
from jobs.imaging.sizes import check_size
from jobs.imaging.tiff import check_tiff
from jobs.imaging.webp import check_webp
from jobs.runtime.sandbox.messages import Server

_CHECKS: dict[Kind, Callable[[bytes, ImageLimits], None]] = {
    PNG: check_png,
    JPEG: check_jpeg,
    WEBP: check_webp,
    GIF: check_gif,
    TIFF: check_tiff,
    BMP: check_bmp,
    AVIF: check_boxes,
    HEIC: check_boxes,
}


def decode_foreign(data: bytes, name: str, limits: ImageLimits, background: str = WHITE) -> Image.Image:
    """The whole image as RGB, the same pixels as `decode` gives; raises BadImage also for what exceeds the limits."""
    try:
        kind = kind_of(data)
        if kind:
            _CHECKS[kind](data, limits)
        if kind is JPEG and (pixels := decode_jpeg(data)):
            pixels.info.update(beside_pixels(data, limits))
            return as_rgb(pixels, background)
        with opened(data, name, limits.pixels) as image:
            check_size(image.width, image.height, limits)
            return as_rgb(image, background, partial(check_png_is_whole, data) if kind is PNG else None)
    except BadImage as error:
        raise error if str(error).startswith(name) else BadImage(f"{name}: {error}", error.reason) from error


def _start(limits: ImageLimits) -> Callable[[PixelsRequest, bytes], Iterator[tuple[Answer, bytes]]]:
    _load_decoders(limits)

    def serve(request: PixelsRequest, data: bytes) -> Iterator[tuple[Answer, bytes]]:
        try:
            image = decode_foreign(data, request.name, limits, request.background)
        except BadImage as error:
            yield Undecodable(message=str(error), reason=error.reason), b""
            return
        pixels = resized(image, request.size, resize=request.resize).tobytes()
        if not request.thumbnail:
            yield Decoded(width=image.width, height=image.height), pixels
            return
        small = scaled_down(image, request.thumbnail)
        yield Decoded(width=image.width, height=image.height, thumbnail=small.size), pixels + small.tobytes()

    return serve


SERVER = Server(PIXELS, _start)


def _load_decoders(limits: ImageLimits) -> None:
    """Decode an image of each kind, so that all modules are there before no file can be opened any more."""
    for number, example in enumerate(examples()):
        resized(decode_foreign(example, f"example {number}", limits), 4).tobytes()
        for data in (example[:-8], example[:20]):
            try:
                decode_foreign(data, f"example {number}", limits)
            except BadImage:
                continue
