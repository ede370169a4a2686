"""Numbers, sizes, times and settings as a person reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def count(number: float) -> str:
    """1234567 -> 1,234,567"""
    return f"{number:,.0f}"


def cosine(value: float) -> str:
    """Three decimals; the sample size seldom carries more."""
    return f"{value:.3f}"


def percent(part: float, whole: float) -> str:
    """A share, with a decimal only where it says something; 0 of 0 is 0."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %"


def size(num_bytes: float) -> str:
    """Bytes in the largest decimal unit that leaves a number of 1 or more."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "bytes" or num_bytes >= 100 else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"


def duration(seconds: float | None) -> str:
    """Seconds as at most two units; a dash where they are not known."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def moment(unix: float | None) -> str:
    """A Unix time in UTC to the minute; a dash where it is not known."""
    return "–" if unix is None else datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")


def setting(value: Any) -> str:
    """A setting as it would stand in a preset: text bare, everything else as JSON."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def plural(number: float, one: str, many: str = "") -> str:
    """1 shard, 2 shards."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def listed(words: list[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
