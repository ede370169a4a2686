"""CSV with a header, quoted as RFC 4180 says; lists are JSON."""

from __future__ import annotations

import csv
import json
from typing import Any

from jobs.export.draft import Draft
from jobs.export.format import Format
from jobs.export.rows import Part


def write(part: Part, draft: Draft) -> None:
    """Write one file."""
    name = f"{part.name}.csv"
    with draft.new_text(name) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in part.table.columns)
        for row in draft.counted(name, part.rows()):
            writer.writerow(_cell(row.values[column.name]) for column in part.table.columns)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


FORMAT = Format(write=write, lists=False, typed=False)
