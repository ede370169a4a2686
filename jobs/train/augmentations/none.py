"""Images as evaluate and infer see them."""

from __future__ import annotations

from random import Random

from PIL import Image

from jobs.imaging.pixels import Pixels, pixels


def augmented(image: Image.Image, size: int, random: Random) -> Pixels:
    """The middle square of the image, resized."""
    return pixels(image, size)
