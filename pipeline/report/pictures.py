"""Pictures as data URIs straight from their shards, within a limit, so that the page stays light."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from jobs.shards.tar import Sample
from pipeline.report.stage_facts import Datasets

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
_GRID = 24
GRID_BYTES = 1_400_000  # a third more as base64; with twice CASES_BYTES the page stays below 5 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image with its prompt."""

    uri: str
    prompt: str
    key: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Some of all images."""

    pictures: tuple[Picture, ...]
    images: int  # how many there are in all
    num_bytes: int  # of all shards


def gallery(datasets: Datasets) -> Gallery | None:
    """Images of every split in turn, from the smallest shard of each; None before generate-images is done."""
    dataset = datasets.get("generate-images")
    if dataset is None:
        return None
    splits = list(dict.fromkeys(shard.group for shard in dataset.shards()))
    rows = []
    for split in splits:
        shards = [shard for shard in dataset.shards(split) if shard.samples]
        if shards:
            smallest = min(shards, key=lambda shard: shard.size)
            rows.append([(split, sample) for sample in islice(dataset.read(smallest), _GRID)])
    in_turn = [one for one in chain(*zip_longest(*rows)) if one is not None]
    chosen = within([sample for _, sample in in_turn], _GRID, GRID_BYTES)
    split_of = {sample.key: split for split, sample in in_turn}
    found = [Picture(uri=uri(one), prompt=one.text(), key=one.key, split=split_of[one.key]) for one in chosen]
    return Gallery(
        pictures=tuple(sorted(found, key=lambda picture: splits.index(picture.split))),
        images=sum(shard.samples for shard in dataset.shards()),
        num_bytes=sum(shard.size for shard in dataset.shards()),
    )


def within(samples: Sequence[Sample], number: int, limit: int) -> list[Sample]:
    """The first samples with an image that together stay within `number` and `limit` bytes of image."""
    found: list[Sample] = []
    for sample, image in _with_images(samples):
        limit -= len(image)
        if limit < 0 or len(found) == number:
            break
        found.append(sample)
    return found


def _with_images(samples: Sequence[Sample]) -> Iterator[tuple[Sample, bytes]]:
    for sample in samples:
        if field := _field(sample):
            yield sample, sample[field]


def uri(sample: Sample) -> str:
    """The sample's image as a data URI, its bytes as they are; empty where it has none."""
    field = _field(sample)
    return f"data:{_TYPES[field]};base64,{base64.b64encode(sample[field]).decode()}" if field else ""


def _field(sample: Sample) -> str | None:
    return next((field for field in _TYPES if field in sample.fields), None)
