"""JSON lines: one object a line."""

from __future__ import annotations

from typing import Literal

from jobs.collect.sources.base import TextSource
from jobs.collect.sources.json_files import json_of_line, member_row
from jobs.collect.sources.rows import AnyRow, BadRow


class Jsonl(TextSource):
    """One JSON object a line, e.g. `metadata.jsonl` with `file_name` and `text`."""

    kind: Literal["jsonl"]

    column: str = "prompt"
    """The member that holds the prompt."""

    def row(self, number: int, text: str) -> AnyRow | None:
        if not text.strip():
            return None
        value = json_of_line(number, text)
        return value if isinstance(value, BadRow) else member_row(number, value, self.column)
