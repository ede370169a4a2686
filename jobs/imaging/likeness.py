"""Whether two pictures are the same one, rescaled, encoded again, or changed a little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.imaging.decoding import square

SIDE = 12
DIMENSIONS = 3 * SIDE * SIDE + 1

_LEAST_CONTRAST = 1.0  # of 255; what remains of a picture of one colour that was a JPEG is below 0.5


def signature(image: Image.Image) -> NDArray[np.float32]:
    """A unit vector, float32 of shape (DIMENSIONS,), whose cosine with another picture's says how alike they look.

    The image is RGB. Its centred square, which is what the network sees, is made SIDE x SIDE pixels, each a mean that
    reaches into its neighbours, so that a small shift changes little; their common mean is subtracted, so that more or
    less brightness and contrast change little. Pictures of one colour, which then have no direction, have one of their
    own: they are like each other, whatever the colour, and like no other picture.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=square(image))
    pixels = np.append(np.asarray(small, np.float32), np.float32(0))
    pixels[:-1] -= pixels[:-1].mean()
    if np.linalg.norm(pixels) < _LEAST_CONTRAST * np.sqrt(DIMENSIONS):
        pixels[:] = np.eye(DIMENSIONS)[-1]
    found: NDArray[np.float32] = pixels / np.linalg.norm(pixels)
    return found
