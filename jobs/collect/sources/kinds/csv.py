"""CSV with a header line."""

from __future__ import annotations

import csv
from typing import Literal

from jobs.collect.sources.delimited import Delimited


class Csv(Delimited):
    """Comma-separated with a header, quoted as RFC 4180 says."""

    kind: Literal["csv"]
    dialect = csv.excel
