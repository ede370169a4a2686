"""Images as the network takes them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.contract.samples import IMAGE_FIELDS
from jobs.errors import BadData
from jobs.imaging.decoding import BadImage, Box, decode, resized, square
from jobs.imaging.foreign import Square
from jobs.shards.tar import Sample

__all__ = ["BadImage", "Pixels", "decode", "image_in", "pixels", "square", "square_pixels"]

Pixels = NDArray[np.uint8]


def image_in(sample: Sample) -> bytes:
    """The bytes of a sample's image; raises BadData unless it has exactly one."""
    found = [field for field in IMAGE_FIELDS if field in sample.fields]
    if len(found) != 1:
        raise BadData(
            f"sample {sample.key} must hold one image, as one of {IMAGE_FIELDS}; it has {sorted(sample.fields)}"
        )
    return sample[found[0]]


def square_pixels(square: Square) -> Pixels:
    """A decoded square as uint8 of shape (size, size, 3)."""
    side = math.isqrt(len(square.rgb) // 3)
    return np.frombuffer(square.rgb, np.uint8).reshape(side, side, 3)


def pixels(image: Image.Image, size: int, box: Box | None = None) -> Pixels:
    """A part of the image (the centred square if none is named) as uint8 of shape (size, size, 3), bicubic."""
    return np.asarray(resized(image, size, box))
