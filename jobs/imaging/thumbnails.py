"""Small versions of images: 16 x 16 pixels to compare by, and a few hundred to show."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.imaging.foreign import Thumbnail

SIDE = 16
_SHOWN_SIDE = 256


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """The image as 16 x 16 RGB, uint8 of shape (768,), every pixel the mean of what it covers."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)).reshape(-1)


def centred(thumbnails: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Thumbnails as float32 of shape (n, 768), values -128..127.

    Around zero because then every inner product is a whole number below 768 * 2^14 < 2^24, which float32 holds
    exactly, in whatever order a library adds.
    """
    return np.stack(thumbnails).astype(np.float32) - 128


def shown(image: Image.Image) -> bytes:
    """The image as a PNG of at most 256 x 256 pixels."""
    small = image.copy()
    small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    file = io.BytesIO()
    small.save(file, "PNG")
    return file.getvalue()


def small_copy(image: Image.Image, side: int) -> bytes:
    """The image as a WebP whose longer side has at most so many pixels, to be looked at; of 256 pixels about 8 kB."""
    small = image.copy()
    small.thumbnail((side, side))
    return _webp(small)


def encoded(small: Thumbnail) -> bytes:
    """The same of an image that was scaled down where it was decoded."""
    return _webp(Image.frombytes("RGB", (small.width, small.height), small.rgb))


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75, method=2)  # 1.3 ms; better methods take 3 times that for a tenth of the size
    return file.getvalue()
