"""JSON lines: one object a line."""

from __future__ import annotations

import json
from typing import Literal

from jobs.collect.sources.base import TextSource
from jobs.collect.sources.json_files import member_row
from jobs.collect.sources.rows import AnyRow, BadRow, unreadable


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
            if reason := unreadable(text):
                return BadRow(number, f"it {reason}")
            hint = "; it may be one JSON array for the whole file: set `kind: json`" if text.strip() == "[" else ""
            return BadRow(number, f"it is not JSON: {error}{hint}")
        return member_row(number, value, self.column)
