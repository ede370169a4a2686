"""Google's Conceptual Captions as published: a TSV without header, `caption <tab> url`, or parquet of `image_url` and
`caption`; tokens separated by spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.parquet_reading import numbered_rows
from jobs.collect.sources.rows import AnyRow, BadRow, row_of


class ConceptualCaptions(TextSource):
    """`Train_GCC-training.tsv`, `Validation_GCC-1.1.0-Validation.tsv`, or files whose names end in .parquet."""

    kind: Literal["conceptual-captions"]
    licence: str | None = "Conceptual Captions: free use, credit to Google LLC"

    def rows(self, file: File) -> Iterator[AnyRow]:
        if not file.name.endswith(".parquet"):
            yield from super().rows(file)
            return
        for number, row in numbered_rows(self, file, ["caption", "image_url"]):
            caption = row["caption"]
            yield row_of(number, join_tokens(caption) if isinstance(caption, str) else caption, url=row["image_url"])

    def row(self, number: int, text: str) -> AnyRow:
        caption, tab, url = text.rstrip("\r\n").partition("\t")
        if not tab or "\t" in url:
            return BadRow(number, "it is not CAPTION<tab>URL")
        return row_of(number, join_tokens(caption), url=url)


def join_tokens(caption: str) -> str:
    """The caption as a person would write it: the published tokens stand apart (`a snowy day .`)."""
    single = re.sub(" {2,}", " ", caption)  # a run of n spaces would be gone through n times
    return re.sub(r" (?=[.,;:!?)'’])| (?=n't\b)|(?<=[(]) ", "", single)
