"""Single values of a file of predictions, as text or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.collect.sources.rows import unreadable
from jobs.errors import BadData

_CANDIDATES = "candidates"
_NO = ("", "false", "no", "0", "none", "null")


def prompt_in(row: Mapping[str, Any], columns: Sequence[str], where: str) -> str | None:
    """The predicted prompt, else the first of its candidates; None where there is none. Raises BadData for no text."""
    given = next((row[column] for column in columns if row.get(column) not in (None, "")), None)
    candidates = row.get(_CANDIDATES)
    if given is None and isinstance(candidates, list) and candidates:
        given = candidates[0].get("prompt") if isinstance(candidates[0], dict) else candidates[0]
    if given is None:
        return None
    if not isinstance(given, str):
        raise BadData(f"{where}: a prompt is text, given is {type(given).__name__}")
    if reason := unreadable(given):
        raise BadData(f"{where}: its prompt {reason}")
    return given.strip() or None


def number_in(value: Any, name: str, where: str) -> float | None:
    """A cosine; None where there is none. Raises BadData for anything else."""
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not -1 <= number <= 1:  # nor not a number
        raise BadData(f"{where}: {name} is a number from -1 to 1, given {value!r}")
    return number


def abstained_in(value: Any, reason: Any, where: str) -> str | None:
    """Why a system did not vouch for a prediction; None where it did."""
    if value is None or value is False:
        return None
    stated = reason if isinstance(reason, str) and reason else "abstained"
    if value is True:
        return stated
    if not isinstance(value, str):
        raise BadData(f"{where}: abstained is true, false or a reason, given {value!r}")
    text = value.strip()
    if text.casefold() in _NO:
        return None
    return stated if text.casefold() in ("true", "yes", "1") else text
