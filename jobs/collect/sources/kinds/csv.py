"""CSV, with a header line or without."""

from __future__ import annotations

import csv
from typing import Literal

from pydantic import Field

from jobs.collect.sources.delimited import Delimited, Layout


class Csv(Delimited):
    """Comma-separated with a header, or without and by another character, quoted as RFC 4180 says."""

    added_later = Delimited.added_later | {"delimiter"}

    kind: Literal["csv"]

    delimiter: str = Field(default=",", pattern=r'^[^"\r\n\x00]$')
    r"""The character between two fields, such as ";" or "\t"."""

    dialect = csv.excel

    def layout(self) -> Layout:
        return Layout(self.dialect, self.delimiter, self.header)
