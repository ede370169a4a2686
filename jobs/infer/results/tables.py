"""Predictions as tables: CSV, JSON lines, and the vectors as one array."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO

from jobs.contract.samples import DIMENSIONS
from jobs.infer.npy import npy_header
from jobs.infer.results.rows import Outcome, Row

Add = Callable[[Row], None]
Table = Callable[[BinaryIO, int], AbstractContextManager[Add]]  # of a new file and the number of rows to come

COLUMNS = ("file", "prompt", "expected_cosine", "abstained", "reason", "candidates")
_NO_VECTOR = b"\x00\x00\xc0\x7f" * DIMENSIONS  # NaN


@contextmanager
def csv_table(file: BinaryIO, _: int) -> Iterator[Add]:
    """One row an image, of COLUMNS; candidates are JSON."""
    with _text(file) as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)

        def add(row: Row) -> None:
            expected = row.prediction.expected_cosine
            writer.writerow(
                (
                    row.prediction.id,
                    row.prompt,
                    "" if expected is None else f"{expected:.6f}",
                    "true" if row.outcome is Outcome.ABSTAINED else "false",
                    row.reason,
                    json.dumps(_candidates(row), ensure_ascii=False),
                )
            )

        yield add


@contextmanager
def json_lines(file: BinaryIO, _: int) -> Iterator[Add]:
    """One object an image; `outcome` says whether it was predicted."""
    with _text(file) as text:
        yield lambda row: _write_line(text, values_of(row))


def values_of(row: Row) -> dict[str, Any]:
    """An image's prediction as JSON; an interval is that of its own cosine."""
    prediction = row.prediction
    return {
        "file": prediction.id,
        "outcome": str(row.outcome),
        "prompt": row.prompt or None,
        "expected_cosine": prediction.expected_cosine,
        "interval": prediction.interval,
        "abstained": row.outcome is Outcome.ABSTAINED,
        "reason": row.reason or None,
        "candidates": _candidates(row),
    }


@contextmanager
def vector_table(file: BinaryIO, count: int) -> Iterator[Add]:
    """A .npy array, float32 of shape (count, 384): row i is that of line i of the JSON lines, NaN where none is."""
    file.write(npy_header(count))
    yield lambda row: _write(file, row.vector or _NO_VECTOR)


def _candidates(row: Row) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in row.prediction.candidates]


def _write_line(text: io.TextIOWrapper, values: dict[str, Any]) -> None:
    text.write(json.dumps(values, ensure_ascii=False) + "\n")


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


@contextmanager
def _text(file: BinaryIO) -> Iterator[io.TextIOWrapper]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    yield text
    text.flush()
    text.detach()
