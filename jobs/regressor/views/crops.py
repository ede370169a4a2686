"""The image, its centre and its four corners, as Krizhevsky et al. (2012) have them, without the mirror images."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.nn import functional

_SHARE = 7 / 8  # of the side; 224 of 256 in that paper


def views(images: Tensor) -> Iterator[Tensor]:
    """The images, and parts of 7/8 of the side, resized back by bicubic interpolation."""
    yield images
    size = images.shape[-1]
    side = max(1, round(_SHARE * size))
    end, middle = size - side, (size - side) // 2
    for top, left in ((middle, middle), (0, 0), (0, end), (end, 0), (end, end)):
        part = images[..., top : top + side, left : left + side].float()
        resized = functional.interpolate(part, size=(size, size), mode="bicubic", align_corners=False)
        yield resized.clamp(0, 255)  # bicubic interpolation goes beyond what is there
