"""What generate-images reads and leaves: shards of kept prompts, of the same names, with the prompts' images added."""

from __future__ import annotations

from jobs.collect.contract import Collected
from jobs.contract.declaration import Access, Contract, Inputs, Splits, Stats
from jobs.contract.samples import IMAGE_FIELDS, Origin, has_given
from jobs.dedup.contract import Deduplicated
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel
from jobs.shards.tar import Sample


class GenerateImagesInputs(Inputs):
    """The kept prompts, and the images that sources gave with some of them."""

    kept: Deduplicated[Dataset]
    collected: Collected[Dataset]


class ImageCounts(JsonModel):
    """Of one shard."""

    images: Count
    cut: Count
    """Images whose prompt the text encoder did not read to its end."""

    given: Count = 0
    """Images that were given by a source."""


class GeneratedImages(Contract[Access], stage="generate-images"):
    """Groups are the splits. Samples whose image a source gave have as `given` which one it is."""

    splits = Splits(Origin, "txt", "npy", one_of=IMAGE_FIELDS, optional=["given"], key="prompt")
    stats = Stats(ImageCounts)


def is_made(sample: Sample) -> bool:
    """Whether a kept prompt's image is made, because no source gave one."""
    return not has_given(sample)
