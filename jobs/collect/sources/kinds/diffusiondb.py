"""DiffusionDB as published: metadata in parquet of 13 columns, or JSON parts; a row for every image, so prompts come
many times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.diffusiondb_parts import is_part, part_rows
from jobs.collect.sources.kinds.parquet import numbered_rows
from jobs.collect.sources.rows import AnyRow, BadRow, LeftOut, Unfit, row_of
from jobs.errors import BadConfiguration


class DiffusionDB(FileSource):
    """`metadata.parquet` or `metadata-large.parquet` of poloclub/diffusiondb, or its `part-*.json`."""

    kind: Literal["diffusiondb"]
    licence: str | None = "CC0-1.0"

    max_prompt_nsfw: float = Field(default=1.0, ge=0, le=1)
    """Leave out prompts that their score calls more unsafe than this, and those whose score is no number; counted.
    JSON parts have no score."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        if is_part(file):
            if self.max_prompt_nsfw < 1:
                raise BadConfiguration(
                    f"source {self.name}: {file.label} has no scores for `max_prompt_nsfw: {self.max_prompt_nsfw:g}`; "
                    "leave it out, or read metadata.parquet, which has them"
                )
            yield from part_rows(self, file)
            return
        for number, row in numbered_rows(self, file, ["prompt", "image_name", "prompt_nsfw"]):
            score = row["prompt_nsfw"]
            if score is not None and not isinstance(score, int | float):
                what = score.reason if isinstance(score, Unfit) else f"is not a number but {type(score).__name__}"
                yield BadRow(number, f"its prompt_nsfw {what}")
            elif score is None or score <= self.max_prompt_nsfw:
                yield row_of(number, row["prompt"], image=row["image_name"])
            else:  # NaN included, which says nothing of the prompt
                yield LeftOut(number)
