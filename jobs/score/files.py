"""The files of a result: a row for each pair, all numbers, and a page to look at."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jobs.dedup.tool.results import Results
from jobs.score.measuring import Measured
from jobs.score.pairs import Pair
from jobs.score.systems import System

SCORES, SUMMARY, PAGE = "scores.csv", "score.json", "score.html"
FILES = (SCORES, PAGE, SUMMARY)
COLUMNS = ("id", "prompt", "cosine", "expected_cosine", "abstained", "source", "words")

_DECIMALS = 6


def write_scores(results: Results, pairs: Sequence[Pair], systems: Sequence[System], found: Sequence[Measured]) -> None:
    """Write scores.csv: the columns of the first system, then the cosine and the expected one of each further one."""
    more = [f"{name} of {one.name}" for one in systems[1:] for name in COLUMNS[2:4]]
    with results.writing(SCORES) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")  # names of files may be any bytes
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*COLUMNS, *more])
        writer.writerows(_rows(pairs, systems, found))
        text.detach()


def write_summary(results: Results, values: Mapping[str, Any]) -> None:
    """Write score.json."""
    with results.writing(SUMMARY) as file:
        file.write(f"{json.dumps(values, indent=2, ensure_ascii=False)}\n".encode(errors="replace"))


def write_page(results: Results, page: str) -> None:
    """Write score.html."""
    with results.writing(PAGE) as file:
        file.write(page.encode(errors="replace"))


def _rows(pairs: Sequence[Pair], systems: Sequence[System], found: Sequence[Measured]) -> Iterator[list[object]]:
    for row, pair in enumerate(pairs):
        numbers = [
            _number(value)
            for system, one in zip(systems, found, strict=True)
            for value in (one.cosines[row], system.expected[row])
        ]
        abstained = systems[0].abstained[row] or ""
        yield [pair.image, pair.prompt, *numbers[:2], abstained, pair.source, pair.words, *numbers[2:]]


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.{_DECIMALS}f}"
