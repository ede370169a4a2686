"""JSON lines: an object for each row."""

from __future__ import annotations

import json

from jobs.errors import Corrupt
from jobs.export.draft import Draft
from jobs.export.format import Format
from jobs.export.rows import VECTOR, Part, Row


def write(part: Part, draft: Draft) -> None:
    """Write one file."""
    name = f"{part.name}.jsonl"
    with draft.new_text(name) as file:
        for row in draft.counted(name, part.rows()):
            file.write(line(row, vectors=part.table.has_vectors))


def line(row: Row, *, vectors: bool, **more: str) -> str:
    """A row as a line; `more` are members that come first. Raises Corrupt for what JSON cannot hold."""
    values = {**more, **row.values}
    if vectors:
        values[VECTOR.name] = _numbers(row.vector)
    try:
        return f"{json.dumps(values, ensure_ascii=False, allow_nan=False)}\n"
    except ValueError as error:
        raise Corrupt(f"sample {row.key} has numbers that are infinite or none, for which JSON has no words") from error


def _numbers(vector: bytes | None) -> list[float] | None:
    if vector is None:
        return None
    from jobs.runtime.arrays import from_npy  # which needs numpy

    return list(map(float, from_npy(vector)))


FORMAT = Format(write=write, typed=False)
