"""Which column of a table holds the prompts."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.collect.sources.columns import USUAL
from jobs.errors import BadConfiguration


def chosen(columns: Sequence[str], wanted: str | None, label: str, hint: str = "") -> str:
    """The column that is wanted, or the first usual name there is, or the only column.

    Raises BadConfiguration that lists the columns where there is none such; `hint` says what else may be wrong.
    """
    if wanted is not None and wanted in columns:
        return wanted
    if wanted is None:
        for name in USUAL:
            if name in columns:
                return name
        if len(columns) == 1:
            return columns[0]
    required = f"column {wanted!r}" if wanted is not None else f"column {', '.join(USUAL[:-1])} or {USUAL[-1]}"
    shown = ", ".join(repr(name if len(name) <= 60 else f"{name[:60]}…") for name in columns[:50])
    more = f" and {len(columns) - 50:,} more" if len(columns) > 50 else ""
    raise BadConfiguration(
        f"{label} has no {required}, only {shown or 'none'}{more}; name the prompts' with --column{hint}"
    )
