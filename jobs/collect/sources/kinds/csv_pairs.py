"""A table of prompts whose images are in a folder, named by a column or by the row's number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator

from jobs.collect.sources.base import File
from jobs.collect.sources.named_pairs import ImageName, named_pairs
from jobs.collect.sources.pairs import TextPairs
from jobs.collect.sources.rows import AnyRow
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_folder


class CsvPairs(TextPairs):
    """CSV, TSV, JSON lines or parquet, by the file's ending, and images beside it or in another folder."""

    kind: Literal["csv-pairs"]

    read_by_content = frozenset({"path", "images"})

    column: str = "prompt"
    """The column that holds the prompt."""

    images: str | None = None
    """The folder of the images: a local path or s3://BUCKET/PREFIX; null for the folder that the file is in."""

    image: str
    """How a row's image is named in that folder: `{COLUMN}` stands for what the row has there, `{row}` for its number,
    as in `pictures/{row}.png`."""

    first_row: int = Field(default=0, ge=0)
    """The number of the first row."""

    @field_validator("image")
    @classmethod
    def _names_something(cls, image: str) -> str:
        rule = ImageName(image)
        try:
            if rule.columns() or rule.counts_rows():
                return image
        except ValueError as error:
            raise ValueError(f"a name with {{row}} or {{COLUMN}} in it is required: {error}") from error
        raise ValueError("a name with {row} or {COLUMN} in it is required, else all rows have one image")

    def files(self) -> list[File]:
        where, downloads = self.images, self.downloads()
        images = open_folder(where, patience_seconds=store_patience(), downloads=downloads) if where else None
        return [replace(file, images=self.images_below(images or file.store)) for file in super().files()]

    def rows(self, file: File) -> Iterator[AnyRow]:
        return named_pairs(self, file, self.column, ImageName(self.image), first_row=self.first_row)
