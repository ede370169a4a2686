"""Pictures as data URIs straight from their shards, within a limit, so that the page stays light."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator
from typing import TypeVar

from jobs.contract.reading import TypedSample
from jobs.shards.strict_json import JsonModel

# What every browser shows; TIFF and HEIC are not.
_TYPES = {name: f"image/{name}" for name in ("png", "webp", "gif", "bmp", "avif")} | {"jpg": "image/jpeg"}
_SMALL = 128  # pixels of a side
_PNG = b"\x89PNG\r\n\x1a\n"

M = TypeVar("M", bound=JsonModel)


def within(samples: Iterable[TypedSample[M]], number: int, limit: int) -> list[TypedSample[M]]:
    """The first samples with an image for browsers that together stay within `number` and `limit` bytes of image."""
    found: list[TypedSample[M]] = []
    for sample, image in _with_images(samples):
        limit -= len(image)
        if limit < 0 or len(found) == number:
            break
        found.append(sample)
    return found


def uri(sample: TypedSample[M]) -> str:
    """The sample's image as a data URI, its bytes as they are; empty where it has none that a browser shows."""
    field = _field(sample)
    return _uri(sample[field], field) if field else ""


def png_uri(data: bytes) -> str:
    """The bytes of a PNG as a data URI."""
    return _uri(data, "png")


def jpeg_uri(data: bytes) -> str:
    """The bytes of a JPEG as a data URI."""
    return _uri(data, "jpg")


def is_small(sample: TypedSample[M]) -> bool:
    """Whether the image is a PNG of so few pixels that enlarging it should keep its edges."""
    return is_small_png(sample.raw.fields.get("png", b""))


def is_small_png(data: bytes) -> bool:
    """Whether the bytes are such a PNG."""
    return data.startswith(_PNG) and len(data) >= 24 and max(struct.unpack(">II", data[16:24])) <= _SMALL


def _uri(data: bytes, field: str) -> str:
    return f"data:{_TYPES[field]};base64,{base64.b64encode(data).decode()}"


def _with_images(samples: Iterable[TypedSample[M]]) -> Iterator[tuple[TypedSample[M], bytes]]:
    for sample in samples:
        if field := _field(sample):
            yield sample, sample[field]


def _field(sample: TypedSample[M]) -> str | None:
    return next((field for field in _TYPES if field in sample), None)
