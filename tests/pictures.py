"""Tiny datasets of images and vectors: an image's colour says which of a few vectors is its own, with some noise."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.runtime.arrays import npy_field
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of
from jobs.shards.store import Store
from jobs.shards.tar import Sample, json_field
from tests.stages import dataset_of

TINY = "test_convnext"  # timm's ConvNeXt for tests: 0.2 million parameters, blocks [1, 2, 4, 2]

SOURCES = ("even", "odd")  # of the prompts, in turn
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Random unit vectors, float32 of shape (count, 384)."""
    vectors = np.random.default_rng(seed).standard_normal((count, 384))
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def picture(colour: int, seed: int, side: int = 32) -> bytes:
    """A PNG of one of COLOURS with some noise."""
    noise = np.random.default_rng(seed).integers(0, 60, (side, side, 3))
    pixels = np.clip(np.asarray(COLOURS[colour]) * 0.7 + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sample(number: int) -> Sample:
    """The number-th sample: prompt, image in one of four colours, and a vector close to the colour's own."""
    colour = number % len(COLOURS)
    vector = unit_vectors(len(COLOURS), seed=1)[colour] + 0.3 * unit_vectors(1, seed=100 + number)[0]
    prompt = f"picture {number} in colour {colour}"
    fields = {
        "txt": prompt.encode(),
        "json": json_field({"source": SOURCES[number % len(SOURCES)], "row": number + 1}),
        "npy": npy_field((vector / np.linalg.norm(vector)).astype(np.float32)),
        "png": picture(colour, seed=number),
    }
    return Sample(key_of(prompt), fields)


def images(run: Store, shards: Mapping[str, range]) -> Dataset:
    """What generate-images would have written: {"train-00000": range(20), …}."""
    samples = {name: [sample(number) for number in numbers] for name, numbers in shards.items()}
    return dataset_of(run, "generate-images", samples)


def prompts(run: Store, shards: Mapping[str, range]) -> Dataset:
    """What dedup would have written: the same samples without images."""
    samples = {
        name: [Sample(one.key, {field: one[field] for field in ("txt", "json", "npy")}) for one in map(sample, numbers)]
        for name, numbers in shards.items()
    }
    return dataset_of(run, "dedup", samples)
