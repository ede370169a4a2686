"""JSON lines: one object a line."""

from __future__ import annotations

import json
from typing import Literal

from jobs.collect.sources.base import TextSource
from jobs.collect.sources.rows import AnyRow, BadRow, row_of


class Jsonl(TextSource):
    """One JSON object a line, e.g. `metadata.jsonl` with `file_name` and `text`."""

    kind: Literal["jsonl"]

    column: str = "prompt"
    """The member that holds the prompt."""

    def row(self, number: int, text: str) -> AnyRow | None:
        if not text.strip():
            return None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            return BadRow(number, f"it is not JSON: {error}")
        if not isinstance(value, dict) or self.column not in value:
            return BadRow(number, f"it is not an object with a member {self.column!r}")
        return row_of(number, value[self.column])
