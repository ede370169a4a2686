"""DiffusionDB as published: metadata in parquet of 13 columns, or JSON parts; a row for every image, so prompts come
many times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.diffusiondb_parts import is_part, part_rows
from jobs.collect.sources.parquet_reading import numbered_rows
from jobs.collect.sources.rows import AnyRow, row_of
from jobs.collect.sources.scores import ScoreFilter, refused
from jobs.errors import BadConfiguration

_COLUMNS = {"steps": "step"}  # of what is kept under another name


class DiffusionDB(FileSource):
    """`metadata.parquet` or `metadata-large.parquet` of poloclub/diffusiondb, or its `part-*.json`."""

    added_later = FileSource.added_later | frozenset({"max_image_nsfw", "keep"})

    kind: Literal["diffusiondb"]
    licence: str | None = "CC0-1.0"

    max_prompt_nsfw: float = Field(default=1.0, ge=0, le=1)
    """Leave out prompts that their score calls more unsafe than this, and those whose score is no number; counted as
    left out. A row without a score stays; JSON parts have none."""

    max_image_nsfw: float | None = Field(default=None, ge=0, le=2)
    """Leave out rows whose image its score calls more unsafe than this, by the same rule; counted as `max_image_nsfw`.
    The score of an image that was blurred before it was published is 2."""

    keep: tuple[Literal["seed", "steps", "cfg", "sampler", "width", "height"], ...] = ()
    """What is kept of how the image was made, beside its name. `cfg` is the guidance scale, `sampler` a number."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        if is_part(file):
            if self.max_prompt_nsfw < 1 or self.max_image_nsfw is not None:
                raise BadConfiguration(
                    f"source {self.name}: {file.label} has no scores for `max_prompt_nsfw` and `max_image_nsfw`; leave "
                    "them out, or read metadata.parquet, which has them"
                )
            yield from part_rows(self, file)
            return
        filters = [ScoreFilter("prompt_nsfw", "", most=self.max_prompt_nsfw, keeps_null=True)]
        if self.max_image_nsfw is not None:
            filters.append(ScoreFilter("image_nsfw", "max_image_nsfw", most=self.max_image_nsfw, keeps_null=True))
        kept: dict[str, str] = {"image": "image_name", **{name: _COLUMNS.get(name, name) for name in self.keep}}
        columns = ["prompt", *kept.values(), *(one.column for one in filters)]
        for number, values in numbered_rows(self, file, columns):
            extra = {name: values[column] for name, column in kept.items()}
            yield refused(filters, number, values) or row_of(number, values["prompt"], **extra)
