"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.rows import AnyRow, BadRow, row_of


class Jsonl(TextSource):
    """One JSON object a line, e.g. `metadata.jsonl` with `file_name` and `text`."""

    kind: Literal["jsonl"]

    column: str = "prompt"
    """The member that holds the prompt."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        with self.lines(file) as lines:
            for line in lines:
                if isinstance(line, BadRow):
                    yield line
                    continue
                number, text = line
                if not text.strip():
                    continue
                try:
                    value = json.loads(text)
                except (ValueError, RecursionError) as error:
                    yield BadRow(number, f"it is not JSON: {error}")
                    continue
                if not isinstance(value, dict) or self.column not in value:
                    yield BadRow(number, f"it is not an object with a member {self.column!r}")
                else:
                    yield row_of(number, value[self.column])
