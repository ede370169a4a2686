"""A trained network run over images: bytes in, unit vectors out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.errors import BadConfiguration
from jobs.regressor.ahead import map_ahead
from jobs.regressor.images import BadImage, Pixels, decode, pixels
from jobs.regressor.model import Regressor
from jobs.regressor.params import PredictParams

T = TypeVar("T")
Floats = NDArray[np.float32]

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def predict(
    regressor: Regressor, items: Iterable[T], image_of: Callable[[T], tuple[str, bytes]], params: PredictParams,
    on_bad: Callable[[T, BadImage], None] | None = None,
) -> Iterator[tuple[list[T], Floats]]:  # fmt: skip
    """Yield the items batch by batch with their unit vectors, float32 of shape (len(batch), 384).

    `image_of` gives an item's name (for errors) and its image's bytes. What is no image raises BadImage, or is left out
    and told to `on_bad`, in the thread that iterates and before the rest of its batch is yielded.
    """
    if params.precision == "fp16" and params.device == "cpu":
        raise BadConfiguration("precision: fp16 needs `device: cuda`; on a CPU use bf16 or fp32")
    size = regressor.architecture.image_size
    device = next(regressor.parameters()).device

    def load(batch: list[T]) -> tuple[list[T], NDArray[np.uint8] | None, list[tuple[T, BadImage]]]:
        good: list[T] = []
        images: list[Pixels] = []
        bad: list[tuple[T, BadImage]] = []
        for item in batch:
            name, data = image_of(item)
            try:
                images.append(pixels(decode(data, name), size))
                good.append(item)
            except BadImage as error:
                if on_bad is None:
                    raise
                bad.append((item, error))
        return good, np.stack(images) if images else None, bad

    batches = map_ahead(load, in_batches(items, params.batch_size), threads=params.threads, ahead=2 * params.threads)
    for batch, images, bad in batches:
        for item, error in bad:
            if on_bad is not None:
                on_bad(item, error)
        if images is None:
            continue
        with torch.inference_mode(), autocast(params.precision, device):
            vectors = regressor(torch.from_numpy(images).permute(0, 3, 1, 2).to(device))
        yield batch, vectors.cpu().numpy()


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    rest = iter(items)
    for first in rest:
        yield list(chain([first], islice(rest, size - 1)))


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a forward pass uses that arithmetic."""
    return torch.autocast(device.type, dtype=_TYPES.get(precision), enabled=precision in _TYPES)
