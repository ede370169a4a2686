"""What compare-images reads and leaves: pictures' signatures, which ones are left out, and the closest that stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from jobs.contract.declaration import Access, Attached, Contract, Inputs, Many, One, Splits
from jobs.contract.reading import ReadGroup, TypedSample
from jobs.contract.samples import Origin
from jobs.generate_images.contract import GeneratedImages
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard
from jobs.shards.strict_json import Count, JsonModel


class CompareImagesInputs(Inputs):
    """All images."""

    images: GeneratedImages[Dataset]


class ShardSignatures(JsonModel):
    """Of one shard of images."""

    images: Count


class Match(JsonModel):
    """A picture and the one of an earlier split that it is closest to."""

    split: str
    shard: str
    """The shard of images that it is in."""

    witness: str
    """The key of the other picture."""

    witness_split: str
    cosine: float
    """Of their signatures, to 6 decimals."""


class ClosestPair(Match):
    """The two pictures of different splits that are closest to each other, of those that stay."""

    picture: str
    """The key of the one in the later split."""


class Comparison(JsonModel):
    """What holds of the pictures that stay: no two in different splits have signatures at the threshold or above."""

    threshold: float
    images: dict[str, Count]
    """By split, in the order in which splits keep their pictures."""

    left_out: dict[str, Count]
    closest: dict[str, ClosestPair]
    """By split, its picture that is closest to one of an earlier split."""


class ShownPair(Match):
    """A pair of pictures to be looked at: both prompts."""

    prompt: str
    witness_prompt: str


class ComparedImages(Contract[Access], stage="compare-images"):
    """Signatures are in shards of the images' names; `keys` are those of the pictures, one a line, in the order of
    `npy`, float32 of shape (n, d). Left out are pictures under their keys. Shown pairs are small.
    """

    signatures = Splits(ShardSignatures, "keys", "npy")
    left_out = Attached(Match)
    shown = Many(ShownPair, "png", "witness.png")
    comparison = One(Comparison)


class Staying(ReadGroup[Origin]):
    """The images of a split without those that are left out; shards count what stays.

    `left_out` has the keys of what is left out of the split, each with its shard.
    """

    def __init__(self, images: ReadGroup[Origin], compared: ComparedImages[Dataset]) -> None:
        super().__init__(images.dataset, images.model, images.name)
        self.left_out = {one.key: one.value.shard for one in left_out_of(compared, images.name).samples()}

    @cached_property
    def _whole(self) -> dict[str, Shard]:
        return {shard.name: shard for shard in super().shards()}

    def shards(self) -> tuple[Shard, ...]:
        left_out = Counter(self.left_out.values())
        return tuple(replace(one, samples=one.samples - left_out[name]) for name, one in self._whole.items())

    def read(self, shard: Shard) -> Iterator[TypedSample[Origin]]:
        return (one for one in super().read(self._whole[shard.name]) if one.key not in self.left_out)


def left_out_of(compared: ComparedImages[Dataset], split: str) -> ReadGroup[Match]:
    """The pictures of a split that are left out."""
    return compared.left_out[ComparedImages.left_out.group_of(split)]


def reads_of_left_out(compared: ComparedImages[Dataset], split: str) -> dict[str, str]:
    """What a unit reads that leaves these pictures out; nothing where there are none, as before this stage was."""
    left_out = left_out_of(compared, split)
    return left_out.reads() if left_out.shards() else {}
