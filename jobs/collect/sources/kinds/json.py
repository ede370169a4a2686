"""JSON: one array or object for the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.json_files import member_row, numbered_values
from jobs.collect.sources.rows import AnyRow, row_of


class Json(TextSource):
    """An array of objects or of texts, or an object of these, e.g. `refl_data.json` of ImageReward."""

    kind: Literal["json"]

    column: str = "prompt"
    """The member of each object that holds the prompt; a text is one itself."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        for number, _, value in numbered_values(self, file, self.encoding):
            yield row_of(number, value) if isinstance(value, str) else member_row(number, value, self.column)
