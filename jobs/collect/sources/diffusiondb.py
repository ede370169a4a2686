"""DiffusionDB's metadata as published: parquet of 13 columns, a row for every image, so prompts come many times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from jobs.collect.sources.base import BadRow, File, FileSource, Row, row_of
from jobs.collect.sources.parquet import numbered_rows


class DiffusionDB(FileSource):
    """`metadata.parquet` or `metadata-large.parquet` of poloclub/diffusiondb."""

    kind: Literal["diffusiondb"]
    licence: str | None = "CC0-1.0"

    max_prompt_nsfw: float = Field(default=1.0, ge=0, le=1)
    """Leave out prompts that their score calls more unsafe than this; 1 keeps all."""

    def rows(self, file: File) -> Iterator[Row | BadRow]:
        for number, row in numbered_rows(self, file, ["prompt", "image_name", "prompt_nsfw"]):
            if row["prompt_nsfw"] is None or row["prompt_nsfw"] <= self.max_prompt_nsfw:
                yield row_of(number, row["prompt"], image=row["image_name"])
