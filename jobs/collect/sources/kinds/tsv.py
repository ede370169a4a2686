"""TSV with a header line."""

from __future__ import annotations

import csv
from typing import Literal

from jobs.collect.sources.delimited import Delimited


class _PlainTsv(csv.Dialect):
    delimiter = "\t"
    quoting = csv.QUOTE_NONE
    lineterminator = "\n"


class Tsv(Delimited):
    """Tab-separated with a header; quotation marks are ordinary characters."""

    kind: Literal["tsv"]
    dialect = _PlainTsv
