"""What screen-images reads and leaves: shards of images, of the same names, without those of a single colour."""

from __future__ import annotations

from jobs.contract.declaration import Access, Contract, Inputs, Splits, Stats
from jobs.contract.samples import IMAGE_FIELDS, Origin
from jobs.generate_images.contract import GeneratedImages
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel


class ScreenImagesInputs(Inputs):
    """All images."""

    images: GeneratedImages[Dataset]


class ScreenCounts(JsonModel):
    """Of one shard."""

    kept: Count
    plain: Count


class ScreenedImages(Contract[Access], stage="screen-images"):
    """Groups are the splits."""

    splits = Splits(Origin, "txt", "npy", one_of=IMAGE_FIELDS, key="prompt")
    stats = Stats(ScreenCounts)
