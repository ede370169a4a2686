"""Trained networks run over images: bytes in, unit vectors and the towers' features out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.errors import BadConfiguration
from jobs.imaging.pixels import BadImage, Pixels, decode, pixels
from jobs.regressor.params import PredictParams
from jobs.runtime.prefetch import prefetch

T = TypeVar("T")
Floats = NDArray[np.float32]

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one pass of a network gives for n images."""

    vectors: Floats  # unit vectors, float32 of shape (n, 384)
    features: Floats  # of the tower, from which the head makes the vectors, float32 of shape (n, d)
    detail: NDArray[np.float64]  # mean difference of neighbouring pixels of the image it was given, of shape (n,)
    lengths: Floats  # of the vectors before they were normalised, float32 of shape (n,)


class Network(Protocol):
    """What is run over images: a network, or several, with how images are shown to it."""

    @property
    def image_size(self) -> int:
        """Pixels of a side of the images that it takes."""

    def outputs(self, images: Sequence[Pixels], precision: str) -> Outputs:
        """What one pass gives for images, uint8 of shape (image_size, image_size, 3)."""


def predict(
    network: Network,
    items: Iterable[T],
    image_of: Callable[[T], tuple[str, bytes]],
    params: PredictParams,
    on_bad: Callable[[T, BadImage], None] | None = None,
) -> Iterator[tuple[list[T], Outputs]]:
    """Yield the items batch by batch with what the network gives for their images, in one pass.

    `image_of` gives an item's name (for errors) and its image's bytes. What is no image raises BadImage, or is left out
    and passed to `on_bad`, in the thread that iterates and before the rest of its batch is yielded.
    """
    size = network.image_size

    def load(batch: list[T]) -> list[tuple[T, Pixels | BadImage]]:
        loaded: list[tuple[T, Pixels | BadImage]] = []
        for item in batch:
            name, data = image_of(item)
            try:
                loaded.append((item, pixels(decode(data, name), size)))
            except BadImage as error:
                if on_bad is None:
                    raise
                loaded.append((item, error))
        return loaded

    batches = prefetch(load, in_batches(items, params.batch_size), threads=params.threads, depth=2 * params.threads)
    yield from predict_batches(network, batches, params, on_bad)


def predict_batches(
    network: Network,
    batches: Iterable[Sequence[tuple[T, Pixels | BadImage]]],
    params: PredictParams,
    on_bad: Callable[[T, BadImage], None] | None = None,
) -> Iterator[tuple[list[T], Outputs]]:
    """As `predict`, of batches of images whose pixels are there, or the error that says why they are not."""
    if params.precision == "fp16" and params.device == "cpu":
        raise BadConfiguration("precision: fp16 needs `device: cuda`; on a CPU use bf16 or fp32")
    for batch in batches:
        good: list[T] = []
        images: list[Pixels] = []
        for item, found in batch:
            if not isinstance(found, BadImage):
                good.append(item)
                images.append(found)
            elif on_bad is None:
                raise found
            else:
                on_bad(item, found)
        if good:
            yield good, network.outputs(images, params.precision)


def joined(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of several batches, at least one, as those of one."""
    return Outputs(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.detail for part in parts]),
        np.concatenate([part.lengths for part in parts]),
    )


def detail_of(image: Pixels) -> float:
    """The mean absolute difference of pixels beside and below each other, 0 to 255; uint8 of shape (h, w, 3)."""
    signed = image.astype(np.int16)
    across, down = np.abs(np.diff(signed, axis=1)), np.abs(np.diff(signed, axis=0))
    return float(across.sum(dtype=np.int64) + down.sum(dtype=np.int64)) / (across.size + down.size)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    rest = iter(items)
    for first in rest:
        yield list(chain([first], islice(rest, size - 1)))


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a forward pass uses that arithmetic."""
    return torch.autocast(device.type, dtype=_TYPES.get(precision), enabled=precision in _TYPES)
