"""Images as the network takes them, decoded from bytes that nobody vouches for."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.errors import BadData
from jobs.shards.tar import Sample

FIELDS = ("png", "jpg", "webp")  # a sample holds its image in one of these
MOST_PIXELS = 64 << 20  # 8192 x 8192; a few bytes of PNG can claim more than any machine's memory

Pixels = NDArray[np.uint8]


class BadImage(BadData):
    """What should be an image is none that can be read; `reason` says why, in words that are equal everywhere."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


_DAMAGED = "no PNG, JPEG or WebP image, or a damaged one"
_TOO_LARGE = f"an image of more than {MOST_PIXELS:,} pixels"


def image_in(sample: Sample) -> bytes:
    """The bytes of a sample's image; raises BadData unless it has exactly one."""
    found = [field for field in FIELDS if field in sample.fields]
    if len(found) != 1:
        raise BadData(f"sample {sample.key} must hold one image, as one of {FIELDS}; it has {sorted(sample.fields)}")
    return sample[found[0]]


def decode(data: bytes, name: str) -> Image.Image:
    """The whole image as RGB; raises BadImage naming it when it is no PNG, JPEG or WebP, is cut short, or too large."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                message = f"{name} is {image.width} x {image.height}; at most {MOST_PIXELS:,} pixels are decoded"
                raise BadImage(message, _TOO_LARGE)
            return image.convert("RGB")
    except (BadImage, MemoryError):  # no memory is this machine's fault, not the image's
        raise
    except Image.DecompressionBombError as error:  # PIL's own limit, which is higher
        raise BadImage(f"{name}: {error}; at most {MOST_PIXELS:,} pixels are decoded", _TOO_LARGE) from error
    except Exception as error:  # on damaged bytes PIL raises nearly anything, struct.error and SyntaxError included
        raise BadImage(f"{name} cannot be decoded as PNG, JPEG or WebP: {error}", _DAMAGED) from error


def square(image: Image.Image) -> tuple[float, float, float, float]:
    """The largest centred square: left, top, right, bottom in pixels."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def pixels(image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None) -> Pixels:
    """A part of the image (the centred square if none is named) as uint8 of shape (size, size, 3), bicubic."""
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box or square(image)))
