"""Whether two pictures are the same one, rescaled, encoded again, or changed a little.

At a cosine of 0.98, of 250 copies each of openclipart's pictures (256 pixels, many on white) and of the demo's drawings
(64 pixels), at most 1.2 % are missed that are scaled to 30, 50 or 200 %, a JPEG of quality 30 to 95, a WebP, a PNG of
32 colours, or have a tenth less brightness or another contrast; 3 % with more brightness, which white clips; 4 %
cropped by 2 %. Found only in part are those cropped by 5 % (42 to 45 %), with a label in a corner (64 to 99 %), with a
border of 2 % (13 to 30 %), and drawings made 32 pixels small and then a JPEG of quality 50 (43 %).

Of 2,427 drawings 0.8 % have one of another prompt there, which then differs in a detail. Of 48 pairs of openclipart at
0.98 to 0.99 that were looked at, all but 2, of tiny things on white, were variants of one design.

Beside that (benchmarks/near_identical.py): dHash misses as few only at 6 bits of 64, where 37 % of the drawings have
another one; pHash at 4 bits, where 21 % have, and of openclipart it misses a fifth at any number up to 8. 8 x 8 pixels
confuse more (1.4 % of the drawings), 16 x 16 miss more of what is cropped; and where each pixel is the mean of its own
square alone, a third of the drawings that are scaled to 30 % is missed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.imaging.decoding import square

SIDE = 12
DIMENSIONS = 3 * SIDE * SIDE + 1

_LEAST_CONTRAST = 1.0  # of 255, the root of the mean square


def signature(image: Image.Image) -> NDArray[np.float32]:
    """A unit vector, float32 of shape (DIMENSIONS,), whose cosine with another picture's says how alike they look.

    The image is RGB. Its centred square, which is what the network sees, is made SIDE x SIDE pixels, each a mean that
    reaches into its neighbours, so that a small shift changes little; the mean of all their channels is subtracted, so
    that more or less brightness and contrast change little. Pictures of one grey, black or white, which then have no
    direction, have one of their own: they are like each other and like no other picture.
    """
    left, top, right, bottom = map(int, square(image))
    inside = image.crop((left, top, right, bottom))  # with resize's own box, pixels beside it would count, too
    small = inside.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.append(np.asarray(small, np.float32), np.float32(0))
    pixels[:-1] -= pixels[:-1].mean()
    if np.linalg.norm(pixels) < _LEAST_CONTRAST * np.sqrt(DIMENSIONS):
        pixels[:] = np.eye(DIMENSIONS)[-1]
    found: NDArray[np.float32] = pixels / np.linalg.norm(pixels)
    return found
