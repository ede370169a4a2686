"""Names of columns: the one that is meant, and how many are shown in an error."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

USUAL = ("prompt", "text", "caption")
"""Names of the column that holds the prompts, the most usual first."""

_SHOWN = 50  # names
_SHOWN_OF_ONE = 100  # characters


def found_column(columns: Sequence[str], wanted: str) -> str | None:
    """The column of that name, else the only one whose name differs in case and outer spaces only; None without one.

    Raises ValueError where several differ in that only.
    """
    if wanted in columns:
        return wanted
    same = [column for column in columns if _plain(column) == _plain(wanted)]
    if len(same) > 1:
        raise ValueError(f"it has {listed(same)}; name one of them exactly")
    return same[0] if same else None


def likely_column(columns: Sequence[str], wanted: str) -> str | None:
    """The column that was probably meant by a name that none has, or that usually holds prompts."""
    names = {_plain(column): column for column in columns[:_SHOWN] if len(column) <= _SHOWN_OF_ONE}
    close = difflib.get_close_matches(_plain(wanted), names, n=1)
    usual = [plain for one in USUAL for plain in names if one in plain]
    return next((names[plain] for plain in [*close, *usual]), None)


def listed(columns: Sequence[str]) -> str:
    """The names as an error shows them: the first of many, and of long ones the beginning."""
    shown = [name if len(name) <= _SHOWN_OF_ONE else f"{name[:_SHOWN_OF_ONE]}…" for name in columns[:_SHOWN]]
    more = f" and {len(columns) - _SHOWN:,} more" if len(columns) > _SHOWN else ""
    return f"{shown}{more}"


def _plain(name: str) -> str:
    return name.strip().casefold()
