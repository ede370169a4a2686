"""Predictions as a table for a terminal, and what became of all images."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from jobs.infer.results.rows import Outcome, Row
from jobs.infer.results.summary import Counts

MOST_ROWS = 40
_FILE = 36  # letters of a file's name, of which the end says most


def table(rows: Sequence[Row], counts: Counts) -> str:
    """The first images in lines as wide as the terminal, and the counts."""
    width = shutil.get_terminal_size().columns
    names = min(_FILE, max([4, *(len(row.prediction.id) for row in rows)]))
    lines = [f"{'file':<{names}}  expected           prompt"] if rows else []
    lines += [_cut(_line(row, names), width) for row in rows[:MOST_ROWS]]
    if rows and counts.images > MOST_ROWS:
        lines.append(f"… and {counts.images - MOST_ROWS:,} more")
    return "\n".join([*lines, "", *counts_lines(counts)])


def counts_lines(counts: Counts) -> list[str]:
    """How many images there were, and what became of them; images = predicted + abstained + refused."""
    lines = [f"{'images':<9} {counts.images:>9,}"]
    lines += [f"{outcome:<9} {getattr(counts, outcome):>9,}" for outcome in Outcome]
    if counts.mean_expected_cosine is not None:
        lines[1] += f"   expected cosine {counts.mean_expected_cosine:.3f} on average"
    lines += [f"{'':<9} {count:>9,}   {reason}" for reason, count in counts.reasons.items()]
    return lines


def _line(row: Row, names: int) -> str:
    file = row.prediction.id if len(row.prediction.id) <= names else f"…{row.prediction.id[1 - names :]}"
    if row.outcome is not Outcome.PREDICTED:
        return f"{file:<{names}}  {row.outcome}: {row.reason}"
    low, high = row.prediction.interval or (float("nan"), float("nan"))
    return f"{file:<{names}}  {row.prediction.expected_cosine:.3f} ({low:.2f}–{high:.2f})  {row.prompt}"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
