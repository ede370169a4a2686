"""What generate-images reads and leaves: shards of kept prompts, of the same names, with the prompts' images added."""

from __future__ import annotations

from jobs.contract.declaration import Access, Contract, Inputs, Splits, Stats
from jobs.contract.samples import IMAGE_FIELDS, Origin
from jobs.dedup.contract import Deduplicated
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel


class GenerateImagesInputs(Inputs):
    """The kept prompts."""

    kept: Deduplicated[Dataset]


class ImageCounts(JsonModel):
    """Of one shard."""

    images: Count
    cut: Count
    """Images whose prompt the text encoder did not read to its end."""


class GeneratedImages(Contract[Access], stage="generate-images"):
    """Groups are the splits."""

    splits = Splits(Origin, "txt", "npy", one_of=IMAGE_FIELDS, key="prompt")
    stats = Stats(ImageCounts)
