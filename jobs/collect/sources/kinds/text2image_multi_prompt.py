"""pszemraj/text2image-multi-prompt as published: CSV or parquet of `text` and `src_dataset`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.delimited import Layout, table_rows
from jobs.collect.sources.parquet_reading import numbered_rows
from jobs.collect.sources.rows import AnyRow, BadRow, row_of

_COLUMNS = ["text", "src_dataset"]


class Text2ImageMultiPrompt(TextSource):
    """Prompts of several data sets, whose name is kept with each as `dataset`; parquet where a name ends in that."""

    kind: Literal["text2image-multi-prompt"]
    licence: str | None = "Apache-2.0"

    def rows(self, file: File) -> Iterator[AnyRow]:
        if file.name.endswith(".parquet"):
            for number, values in numbered_rows(self, file, _COLUMNS):
                yield row_of(number, values["text"], dataset=values["src_dataset"])
            return
        for row in table_rows(self, file, _COLUMNS, Layout(csv.excel)):
            if isinstance(row, BadRow):
                yield row
            else:
                number, (text, dataset) = row
                yield row_of(number, text, dataset=dataset)
