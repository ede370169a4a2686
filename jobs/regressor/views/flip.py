"""The image and its mirror image. Words of a prompt like "left", and letters, are the other way round in the latter."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


def views(images: Tensor) -> Iterator[Tensor]:
    """The images, and with left and right exchanged."""
    yield images
    yield images.flip(-1)
