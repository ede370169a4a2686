"""The dataset card, README.md: what the hub and `datasets` read of an export, and what a person wants to know of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs.export.draft import PartRecord
from jobs.export.folder import EXPORT, Subject
from jobs.export.format import Format
from jobs.export.rows import Column, Part, Table
from jobs.report.page import RunView

_LICENCES = frozenset(
    {"apache-2.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "creativeml-openrail-m", "mit", "openrail"}
)  # by the hub's own names, of which sources use these; any other is `other`
_SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}
_LARGER = "10M<n<100M"

Parts = Mapping[Part, PartRecord]


def card(
    view: RunView, subject: Subject, form: Format, tables: Sequence[Table], parts: Parts, notes: Mapping[str, str]
) -> str:
    """The card as Markdown, with the hub's values in front; equal exports have equal ones."""
    written = [table for table in tables if any(part.table is table for part in parts)]
    origins: Counter[tuple[str, str]] = Counter()
    for record in parts.values():
        origins.update({(source, licence): rows for source, licence, rows in record.origins})
    front = {
        "configs": [_config(table, form, parts, only=len(written) == 1) for table in written],
        **({} if form.typed else {"dataset_info": [_info(table, only=len(written) == 1) for table in written]}),
        "license": _licence({licence for _, licence in origins}),
        "size_categories": [_size(sum(record.rows for record in parts.values()))],
    }
    lines = ["---", *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in front.items()), "---"]
    lines += ["", f"# {subject.what} of {view.address.rstrip('/').rpartition('/')[2]}", ""]
    lines += [
        f"Exported by image-to-prompts from the run {view.address}; `{EXPORT}` lists all files with their digests."
    ]
    lines += ["", *(f"{name}: {value}  " for name, value in notes.items())] if notes else []
    for table in written:
        rows: Counter[str] = Counter()
        for part, record in parts.items():
            if part.table is table:
                rows[part.split] += record.rows
        lines += ["", f"## {table.name}", "", *_table(("split", "rows"), ((one, f"{n:,}") for one, n in rows.items()))]
        lines += ["", *_table(("column", "what it is"), ((f"`{one.name}`", one.about) for one in table.columns))]
    if origins:
        rows_by = ((source, licence or "not stated", f"{n:,}") for (source, licence), n in sorted(origins.items()))
        lines += ["", "## Sources", "", *_table(("source", "licence", "rows"), rows_by)]
    return "\n".join([*lines, ""])


def _config(table: Table, form: Format, parts: Parts, *, only: bool) -> dict[str, Any]:
    splits = dict.fromkeys(part.split for part in parts if part.table is table)
    files = [{"split": split, "path": form.pattern.format(table=table.name, split=split)} for split in splits]
    return {"config_name": "default" if only else table.name, "data_files": files}


def _info(table: Table, *, only: bool) -> dict[str, Any]:
    return {"config_name": "default" if only else table.name, "features": [_feature(one) for one in table.columns]}


def _feature(column: Column) -> dict[str, str]:
    return {"name": column.name, "list" if column.many else "dtype": column.dtype}


def _licence(found: set[str]) -> str:
    if found <= {""}:
        return "unknown"
    (one, *others) = found
    return one.lower() if not others and one.lower() in _LICENCES else "other"


def _size(rows: int) -> str:
    return next((name for name, end in _SIZES.items() if rows < end), _LARGER)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *([one.replace("|", "\\|") for one in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
