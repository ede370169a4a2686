"""An image's bytes decoded by Pillow. Free of numpy, for a process that does nothing else."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from PIL import Image, UnidentifiedImageError

from jobs.errors import BadData
from jobs.imaging.colour import as_rgb
from jobs.imaging.kinds import AVIF, HEIC, KINDS, Kind, kind_of
from jobs.imaging.limits import WHITE, Filter

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


DAMAGED = "no image that can be read, or a damaged one"


def too_many_pixels(most: int) -> str:
    """The reason of an image that is too large."""
    return f"an image of more than {most:,} pixels"


def decode(data: bytes, name: str, most_pixels: int = MOST_PIXELS, background: str = WHITE) -> Image.Image:
    """The image's first frame or page as RGB, upright, in sRGB, on the background ("#rrggbb") where it is transparent.

    Raises BadImage naming it when it is none of KINDS, is damaged, or too large. Pillow fills what is missing of some
    images that are cut short with black or grey: for untrusted bytes see untrusted.py.
    """
    with opened(data, name, most_pixels) as image:
        return as_rgb(image, background)


@contextmanager
def opened(data: bytes, name: str, most_pixels: int = MOST_PIXELS) -> Iterator[Image.Image]:
    """The image, of which no pixels are decoded yet; whatever goes wrong until the end of the block is a BadImage."""
    kind = kind_of(data)
    if kind is None:
        known = ", ".join(one.name for one in KINDS)
        raise BadImage(f"{name} cannot be decoded: it begins as none of these does: {known}", DAMAGED)
    try:
        _load_plugin(kind)
        with Image.open(io.BytesIO(data), formats=(kind.name,)) as image:
            if image.width * image.height > most_pixels:
                message = f"{name} is {image.width} x {image.height}; at most {most_pixels:,} pixels are decoded"
                raise BadImage(message, too_many_pixels(most_pixels))
            yield image
    except (BadImage, MemoryError):  # no memory is this machine's fault, not the image's
        raise
    except UnidentifiedImageError as error:  # whose message has an address of memory in it
        raise BadImage(f"{name} cannot be decoded as {kind.name}: its header is damaged", DAMAGED) from error
    except Image.DecompressionBombError as error:  # PIL's own limit, which is higher
        message = f"{name}: {error}; at most {most_pixels:,} pixels are decoded"
        raise BadImage(message, too_many_pixels(most_pixels)) from error
    except Exception as error:  # on damaged bytes PIL raises nearly anything, struct.error and SyntaxError included
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from error
        raise BadImage(f"{name} cannot be decoded as {kind.name}: {error}", DAMAGED) from error


@cache
def _load_plugin(kind: Kind) -> None:
    """Have Pillow know a kind, and decode it with one thread: images are decoded by several processes or threads."""
    plugin = importlib.import_module(kind.module)
    if kind is AVIF:
        setattr(plugin, "DEFAULT_MAX_THREADS", 1)  # noqa: B010 - a module's
    elif kind is HEIC:
        plugin.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def square(image: Image.Image) -> Box:
    """The largest centred square: left, top, right, bottom in pixels."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def resized(image: Image.Image, size: int, box: Box | None = None, resize: Filter = "bicubic") -> Image.Image:
    """A part of the image (the centred square if none is named), size x size pixels."""
    return image.resize((size, size), FILTERS[resize], box=box or square(image))


def scaled_down(image: Image.Image, most: int) -> Image.Image:
    """The whole image with at most so many pixels a side, bicubic; the image itself where it has no more."""
    scale = most / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), FILTERS["bicubic"])
