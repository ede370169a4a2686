"""pszemraj/text2image-multi-prompt as published: CSV or parquet of `text` and `src_dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.named_rows import named_rows
from jobs.collect.sources.rows import AnyRow, BadRow, row_of


class Text2ImageMultiPrompt(TextSource):
    """Prompts of several data sets, whose name is kept with each as `dataset`; a file's ending says what it is."""

    kind: Literal["text2image-multi-prompt"]
    licence: str | None = "Apache-2.0"

    def rows(self, file: File) -> Iterator[AnyRow]:
        for row in named_rows(self, file, ["text", "src_dataset"]):
            if isinstance(row, BadRow):
                yield row
            else:
                number, (text, dataset) = row
                yield row_of(number, text, dataset=dataset)
