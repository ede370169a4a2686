"""A crop of the image that leaves little out, and sometimes a patch erased; images are never flipped."""

from __future__ import annotations

from random import Random

from PIL import Image

from jobs.imaging.pixels import Pixels, pixels, square

_SMALLEST_CROP = 0.8  # of the side
_ERASED = 0.25  # of the images
_LARGEST_PATCH = 0.3  # of the side


def augmented(image: Image.Image, size: int, random: Random) -> Pixels:
    """The image cropped and resized; an erased patch has the image's mean colour."""
    left, top, right, _ = square(image)
    side = (right - left) * random.uniform(_SMALLEST_CROP, 1)
    left += random.uniform(0, right - left - side)
    top += random.uniform(0, min(image.size) - side)
    out = pixels(image, size, (left, top, left + side, top + side)).copy()
    if random.random() < _ERASED:
        height, width = (int(size * random.uniform(0.1, _LARGEST_PATCH)) for _ in range(2))
        y, x = random.randint(0, size - height), random.randint(0, size - width)
        out[y : y + height, x : x + width] = out.mean(axis=(0, 1))
    return out
