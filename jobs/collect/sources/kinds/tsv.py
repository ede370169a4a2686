"""TSV, with a header line or without."""

from __future__ import annotations

import csv
from typing import Literal

from jobs.collect.sources.base import File
from jobs.collect.sources.delimited import Delimited, Layout
from jobs.collect.sources.rows import AnyRow, BadRow, row_of

_QUOTED = "it is written with quotation marks around its field and each inner one twice"


class _PlainTsv(csv.Dialect):
    delimiter = "\t"
    quoting = csv.QUOTE_NONE
    lineterminator = "\n"


class Tsv(Delimited):
    """Tab-separated; quotation marks are ordinary characters, or quote fields as in CSV."""

    added_later = Delimited.added_later | {"quoting"}

    kind: Literal["tsv"]

    quoting: Literal["none", "standard"] = "none"
    """Whether quotation marks are ordinary characters, or stand around fields, as RFC 4180 says and pandas writes."""

    dialect = _PlainTsv

    def layout(self) -> Layout:
        return Layout(csv.excel_tab if self.quoting == "standard" else self.dialect, "\t", self.header)

    def of_prompt(self, number: int, prompt: str) -> AnyRow:
        if self.quoting == "none" and prompt[:1] == prompt[-1:] == '"' and _has_only_doubled(prompt[1:-1]):
            return BadRow(number, _QUOTED)
        return row_of(number, prompt)

    def advice(self, file: File, row: BadRow) -> str:
        if row.reason == _QUOTED:
            return "set `quoting: standard` of the source, which reads such fields as what was written"
        return super().advice(file, row)


def _has_only_doubled(inside: str) -> bool:
    """Whether there are quotation marks, and none that is not doubled."""
    return '""' in inside and '"' not in inside.replace('""', "")
