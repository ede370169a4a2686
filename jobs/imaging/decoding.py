"""An image's bytes decoded by Pillow. Free of numpy, for a process that does nothing else."""

from __future__ import annotations

import io

from PIL import Image

from jobs.errors import BadData
from jobs.imaging.limits import Filter

MOST_PIXELS = 64 << 20  # 8192 x 8192; a few bytes of PNG can claim more than any machine's memory

FILTERS: dict[Filter, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}

Box = tuple[float, float, float, float]


class BadImage(BadData):
    """What should be an image is none that can be read; `reason` says why, in words that are equal everywhere."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


DAMAGED = "no PNG, JPEG or WebP image, or a damaged one"


def too_many_pixels(most: int) -> str:
    """The reason of an image that is too large."""
    return f"an image of more than {most:,} pixels"


def decode(data: bytes, name: str, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The image as RGB; raises BadImage naming it when it is no PNG, JPEG or WebP, is damaged, or too large.

    Pillow fills what is missing of some images that are cut short with black or grey: for untrusted bytes
    see untrusted.py.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > most_pixels:
                message = f"{name} is {image.width} x {image.height}; at most {most_pixels:,} pixels are decoded"
                raise BadImage(message, too_many_pixels(most_pixels))
            return image.convert("RGB")
    except (BadImage, MemoryError):  # no memory is this machine's fault, not the image's
        raise
    except Image.DecompressionBombError as error:  # PIL's own limit, which is higher
        message = f"{name}: {error}; at most {most_pixels:,} pixels are decoded"
        raise BadImage(message, too_many_pixels(most_pixels)) from error
    except Exception as error:  # on damaged bytes PIL raises nearly anything, struct.error and SyntaxError included
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from error
        raise BadImage(f"{name} cannot be decoded as PNG, JPEG or WebP: {error}", DAMAGED) from error


def square(image: Image.Image) -> Box:
    """The largest centred square: left, top, right, bottom in pixels."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def resized(image: Image.Image, size: int, box: Box | None = None, resize: Filter = "bicubic") -> Image.Image:
    """A part of the image (the centred square if none is named), size x size pixels."""
    return image.resize((size, size), FILTERS[resize], box=box or square(image))
