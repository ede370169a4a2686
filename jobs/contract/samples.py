"""What samples have in common in all stages: where a prompt came from, the length of its vector, its image's field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from jobs.shards.strict_json import JsonModel

DIMENSIONS = 384  # of all-MiniLM-L6-v2, whose unit vectors stand in `npy` and are what is predicted
IMAGE_FIELDS = ("png", "jpg", "webp")  # a sample holds its image in one of these
TRAIN = "train"  # the split that is trained on; all others are held out


class Origin(JsonModel):
    """Where a prompt came from; a source may add members of its own, such as the image's name."""

    model_config = ConfigDict(extra="allow")
    if not TYPE_CHECKING:  # which would take it for an argument
        __pydantic_extra__: dict[str, str | int | float | bool | None]

    source: str
    row: int
    """Counted from 1."""
