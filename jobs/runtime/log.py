"""A worker's log: one JSON object a line on stderr, kept to be shipped to the store when the worker ends."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import deque
from typing import Any

_KEPT_LINES = 10_000
_lines: deque[str] = deque(maxlen=_KEPT_LINES)
_last_progress = 0.0


def event(name: str, **fields: Any) -> None:
    """Write one event with its fields, which must be JSON values."""
    line = json.dumps({"time": round(time.time(), 3), "event": name, **fields}, ensure_ascii=False)
    _lines.append(line)
    print(line, file=sys.stderr, flush=True)


def progress(done: float, total: float | None, what: str, **fields: Any) -> None:
    """Say how far the task is, in whatever it counts; at most twice a second, and always at the end.

    `total` is None where nobody knows it yet.
    """
    global _last_progress
    if done == total or time.monotonic() - _last_progress > 0.5:
        _last_progress = time.monotonic()
        event("progress", done=done, total=total, what=what, **fields)


def lines() -> bytes:
    """Everything logged so far (the last 10,000 lines), as JSON lines."""
    return "".join(f"{line}\n" for line in _lines).encode()


def capture_library_logs() -> None:
    """Send what libraries log as warnings or worse through the same channel."""
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.WARNING, handlers=[_EventHandler()], force=True)


class _EventHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event("log", level=record.levelname.lower(), logger=record.name, message=record.getMessage())
