"""Light augmentation, drawn from (seed, epoch, key) alone, so that it is the same whoever makes the batch."""

from __future__ import annotations

from PIL import Image

from jobs.imaging.pixels import Pixels, pixels, square
from jobs.train.order import random_of
from jobs.train.stage import TrainParams

_SMALLEST_CROP = 0.8  # of the side
_ERASED = 0.25  # of the images
_LARGEST_PATCH = 0.3  # of the side


def augmented(image: Image.Image, params: TrainParams, *, epoch: int, key: str) -> Pixels:
    """The image as uint8 of shape (size, size, 3), cropped a little and sometimes with a patch erased."""
    if params.augment == "none":
        return pixels(image, params.image_size)
    random = random_of(params.seed, epoch, key)
    left, top, right, _ = square(image)
    side = (right - left) * random.uniform(_SMALLEST_CROP, 1)
    left += random.uniform(0, right - left - side)
    top += random.uniform(0, min(image.size) - side)
    out = pixels(image, params.image_size, (left, top, left + side, top + side)).copy()
    if random.random() < _ERASED:
        height, width = (int(params.image_size * random.uniform(0.1, _LARGEST_PATCH)) for _ in range(2))
        y, x = random.randint(0, params.image_size - height), random.randint(0, params.image_size - width)
        out[y : y + height, x : x + width] = out.mean(axis=(0, 1))
    return out
