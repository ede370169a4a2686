"""Parquet, one column of it, a few thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from jobs.collect.contract import CollectedOrigin
from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import PairSource
from jobs.collect.sources.parquet_reading import numbered_rows
from jobs.collect.sources.rows import AnyRow, BadRow, ImageFile, Row, Unfit, row_of
from jobs.errors import BadData
from jobs.shards.store import checked


class Parquet(PairSource):
    """A text column of parquet files, and what else of them is to be kept: further columns, an image."""

    added_later = PairSource.added_later | frozenset({"keep", "image"})

    kind: Literal["parquet"]

    column: str = "prompt"
    """The column that holds the prompt; in any case, as all columns, where none is named exactly so."""

    keep: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=100)
    """Columns whose values, text or numbers, are kept with each prompt, under these names."""

    image: str | None = None
    """The column of the images that the prompts have: bytes, or Hugging Face's struct of `bytes` and `path`. A path in
    place of bytes is that of a file beside this one, or below its folder."""

    @field_validator("keep")
    @classmethod
    def _names_are_free(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        if taken := sorted(CollectedOrigin.model_fields.keys() & set(keep)):
            raise ValueError(f"{taken} cannot be kept under their names, which say where a prompt came from")
        return keep

    @property
    def gives_images(self) -> bool:
        return self.image is not None

    def rows(self, file: File) -> Iterator[AnyRow]:
        images = [] if self.image is None else [self.image]
        for number, values in numbered_rows(self, file, [self.column, *self.keep], images):
            row = row_of(number, values[self.column], **{name: values[name] for name in self.keep})
            yield _with_image(row, values[self.image], file) if self.image and isinstance(row, Row) else row


def _with_image(row: Row, image: Any, file: File) -> Row | BadRow:
    if isinstance(image, str):
        try:
            return replace(row, image=ImageFile(file.store, checked(image)), image_name=image)
        except BadData as error:
            return BadRow(row.number, f"its image is in no file beside this one: {error}")
    if image is None or isinstance(image, bytes):
        return replace(row, image=image)
    what = image.reason if isinstance(image, Unfit) else f"is not bytes but {type(image).__name__}"
    return BadRow(row.number, f"its image {what}")
