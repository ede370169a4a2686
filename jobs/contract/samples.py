"""What samples have in common in all stages: where a prompt came from, the length of its vector, its image's field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from jobs.shards.strict_json import Count, Digest, JsonModel
from jobs.shards.tar import Sample

DIMENSIONS = 384  # of all-MiniLM-L6-v2, whose unit vectors stand in `npy` and are what is predicted
# A sample holds its image in one of these; made images are in one of the first three.
IMAGE_FIELDS = ("png", "jpg", "webp", "gif", "tif", "bmp", "avif", "heic")
TRAIN = "train"  # the split that is trained on; all others are held out


class Given(JsonModel):
    """An image that a source gave with a prompt: where its bytes are in collect's shards, and where it came from."""

    sha256: Digest
    """Of the image's bytes as the source has them."""

    object: str
    """The object of collect in which they are."""

    start: Count
    size: Count
    field: str
    """The one of IMAGE_FIELDS that is for its format."""

    width: Count
    height: Count
    source: str
    licence: str | None = None
    file: str | None = None
    row: int
    name: str | None = None
    """The image's own name in the source, where it has one."""


class Origin(JsonModel):
    """Where a prompt came from; a source may add members of its own, such as the image's name."""

    model_config = ConfigDict(extra="allow")
    if not TYPE_CHECKING:  # which would take it for an argument
        __pydantic_extra__: dict[str, str | int | float | bool | None]

    source: str
    row: int
    """Counted from 1."""

    given: tuple[Given, ...] = ()
    """The images that sources gave with this very prompt, in the order of the sources."""


def has_given(sample: Sample) -> bool:
    """Whether sources gave images with a sample's prompt; looked for in the bytes, as most samples have none."""
    return b'"given":' in sample["json"] and bool(Origin.decode(sample["json"], sample.key).given)
