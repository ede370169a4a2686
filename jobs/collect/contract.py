"""What collect leaves: for each file of each source the distinct prompts in it, with their origin."""

from __future__ import annotations

from pydantic import Field

from jobs.contract.declaration import Access, Attached, Contract, Splits, Stats
from jobs.contract.samples import IMAGE_FIELDS, Origin
from jobs.shards.strict_json import Count, JsonModel


class CollectedOrigin(Origin):
    """Where a collected prompt came from."""

    licence: str | None
    file: str | None
    """The file's name without its folder; None for a source that is in no file."""


class CollectCounts(JsonModel):
    """What became of a file's rows: rows = kept + repeated + all others, refused for the reason they name."""

    rows: Count
    kept: Count
    repeated: Count
    too_short: Count
    too_long: Count
    unreadable: Count
    left_out: Count = 0
    refused: dict[str, Count] = Field(default_factory=dict)
    """By further reasons: the names of filters, of rules, and of what is wrong with an image."""

    def by_reason(self) -> dict[str, int]:
        """The rows that are not kept, by reason."""
        return {**self.model_dump(exclude={"rows", "kept", "refused"}, exclude_unset=True), **self.refused}


class ImageSize(JsonModel):
    """In pixels."""

    width: Count
    height: Count


class Collected(Contract[Access], stage="collect"):
    """Groups are named by source and file. Images have the SHA-256 of their bytes as key."""

    prompts = Splits(CollectedOrigin, "txt", key="prompt")
    images = Attached(ImageSize, one_of=IMAGE_FIELDS)
    stats = Stats(CollectCounts)
