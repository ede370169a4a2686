"""Batches of images and vectors, from any step on, read and decoded before the network asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from jobs.contract.reading import ReadGroup, TypedSample
from jobs.contract.samples import Given, Origin
from jobs.errors import BadConfiguration
from jobs.imaging.pixels import Pixels, decode, image_in
from jobs.registry import load
from jobs.runtime.arrays import from_npy
from jobs.runtime.prefetch import prefetch
from jobs.train.order import Window, random_of, sort_key, windows
from jobs.train.stage import AUGMENTATIONS, TrainParams

Augmentation = Callable[[Image, int, Random], Pixels]

Images = ReadGroup[Origin]
EpochSample = tuple[int, TypedSample[Origin]]


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's share: images, uint8 of shape (n, 3, size, size), and their vectors, float32 of (n, 384).

    `weights`, float32 of (n, 1), say what each counts for; None where all count the same.
    """

    images: Tensor
    vectors: Tensor
    weights: Tensor | None = None


def steps_per_epoch(images: Images, params: TrainParams) -> int:
    """Raises BadConfiguration when there are fewer images than one batch takes."""
    count = images.num_samples
    if count < params.batch_size:
        raise BadConfiguration(
            f"a batch takes {params.batch_size} images, but there are only {count} for training; "
            "lower batch_size, or make more images"
        )
    return count // params.batch_size


def batches(
    images: Images, params: TrainParams, *, first_step: int, process: int = 0, num_processes: int = 1
) -> Iterator[Batch]:
    """The batches of step `first_step` and all later ones, whole epochs through.

    Every process reads whole batches and decodes its share, so that the order does not depend on their number.
    """
    shared = (samples[process::num_processes] for samples in _sample_batches(images, params, first_step))
    make = partial(_batch, augmented=load(AUGMENTATIONS, params.augment, "augmented"), params=params)
    yield from prefetch(make, shared, threads=params.threads, depth=2 * params.threads)


def _sample_batches(images: Images, params: TrainParams, first_step: int) -> Iterator[list[EpochSample]]:
    """(epoch, sample) in lists of `batch_size`."""
    read = prefetch(partial(_read, images, params.seed), _all_windows(images, params, first_step), threads=1, depth=1)
    for epoch, parts in groupby(read, key=lambda part: part[0]):
        waiting: list[EpochSample] = []
        for _, samples in parts:
            waiting += ((epoch, sample) for sample in samples)
            while len(waiting) >= params.batch_size:
                yield waiting[: params.batch_size]
                del waiting[: params.batch_size]


def _all_windows(images: Images, params: TrainParams, first_step: int) -> Iterator[Window]:
    first_epoch, steps = divmod(first_step, steps_per_epoch(images, params))
    for epoch in range(first_epoch, params.epochs):
        skip = steps * params.batch_size if epoch == first_epoch else 0
        yield from windows(images.shards(), seed=params.seed, epoch=epoch, size=params.window_shards, skip=skip)


def _read(images: Images, seed: int, window: Window) -> tuple[int, list[TypedSample[Origin]]]:
    """The window's epoch and its samples in order, without those that are done with."""
    samples = [sample for shard in window.shards for sample in images.read(shard)]
    samples.sort(key=lambda sample: sort_key(seed, window.epoch, sample.key))
    return window.epoch, samples[window.skip :]


def _batch(samples: list[EpochSample], augmented: Augmentation, params: TrainParams) -> Batch:
    pixels: NDArray[np.uint8] = np.stack(
        [
            augmented(
                decode(image_in(sample.raw), sample.key), params.image_size, random_of(params.seed, epoch, sample.key)
            )
            for epoch, sample in samples
        ]
    )
    vectors = torch.from_numpy(np.stack([from_npy(sample["npy"]) for _, sample in samples]))
    weights = torch.tensor([[weight(sample, params.weights)] for _, sample in samples]) if params.weights else None
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    if params.device == "cuda":
        return Batch(images.pin_memory(), vectors.pin_memory(), None if weights is None else weights.pin_memory())
    return Batch(images, vectors, weights)


def weight(sample: TypedSample[Origin], weights: Mapping[str, float]) -> float:
    """What an image counts for, by how it came about and by its source."""
    given = Given.decode(sample["given"], sample.key) if "given" in sample else None
    source = given.source if given else sample.value.source
    return weights.get("given" if given else "made", 1.0) * weights.get(source, 1.0)
