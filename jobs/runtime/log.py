"""A worker's log: one JSON object a line on stderr, and kept to be uploaded to the store."""

from __future__ import annotations

import itertools
import json
import logging
import sys
import threading
import time
from collections.abc import Hashable
from typing import Any

from jobs.runtime.events import Event, ProgressMade

_KEPT_LINES = 10_000
_lines: dict[Hashable, str] = {}  # in order; of progress only the newest line of each unit, or it would drown the rest
_numbers = itertools.count()
_lock = threading.RLock()  # uploads of shards and of the log run in threads of their own
_written = 0
_last_progress = 0.0
_unit: str | None = None


def note(name: str, **fields: Any) -> None:
    """Log something for people, with fields that must be JSON values."""
    emit(Event(event=name, **fields))


def emit(event: Event) -> None:
    """Log an event."""
    global _written
    values = {"time": round(time.time(), 3), "event": event.event, **event.values}
    line = encodable(json.dumps(values, ensure_ascii=False))
    with _lock:
        key: Hashable = next(_numbers)
        if isinstance(event, ProgressMade):
            key = ("progress", event.unit)
            _lines.pop(key, None)
        _lines[key] = line
        if len(_lines) > _KEPT_LINES:
            del _lines[next(iter(_lines))]
        _written += 1
    print(line, file=sys.stderr, flush=True)


def encodable(text: str) -> str:
    """The text with a question mark for what is no Unicode: file names and rows that are not UTF-8 are quoted."""
    return text.encode(errors="replace").decode()


def working_on(unit: str) -> None:
    """Say which unit `progress` is about from now on."""
    global _unit
    _unit = unit


def progress(done: float, total: float | None, what: str, **fields: Any) -> None:
    """Say how far the unit is, in whatever it counts; at most twice a second, and always at the end.

    `total` is None where nobody knows it yet.
    """
    global _last_progress
    if done == total or time.monotonic() - _last_progress > 0.5:
        _last_progress = time.monotonic()
        emit(ProgressMade(**{"done": done, "total": total, "what": what, "unit": _unit, **fields}))


def lines() -> bytes:
    """What was logged so far (the last 10,000 lines), as JSON lines."""
    with _lock:
        kept = list(_lines.values())
    return "".join(f"{line}\n" for line in kept).encode()


def written() -> int:
    """How many events there were so far: equal as long as there is nothing new."""
    return _written


def capture_library_logs() -> None:
    """Send what libraries log as warnings or worse through the same channel."""
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.WARNING, handlers=[_EventHandler()], force=True)


class _EventHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note("log", level=record.levelname.lower(), logger=record.name, message=record.getMessage())
