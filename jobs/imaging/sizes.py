"""The limits that images of every kind have."""

from __future__ import annotations

from jobs.imaging.decoding import BadImage, too_many_pixels
from jobs.imaging.limits import ImageLimits

CUT_SHORT = "cut short: a part of the image is missing"


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raise BadImage for an image of too many pixels, or with too long a side."""
    if width * height > limits.pixels:
        raise BadImage(
            f"{width} x {height}; at most {limits.pixels:,} pixels are decoded", too_many_pixels(limits.pixels)
        )
    if max(width, height) > limits.side:
        raise BadImage(
            f"{width} x {height}; at most {limits.side:,} pixels are decoded of a side",
            f"an image with a side of more than {limits.side:,} pixels",
        )


def check_parts(count: int, limits: ImageLimits) -> None:
    """Raise BadImage for a file of too many chunks or segments."""
    if count > limits.parts:
        raise BadImage(f"more than {limits.parts:,} parts", f"a file of more than {limits.parts:,} chunks or segments")
