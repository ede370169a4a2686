"""How far a command is: one line that is written again and again on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from pipeline.cli.terminal import one_line
from pipeline.control.time_left import clock_format

_AGAIN_SECONDS = 0.2  # on a terminal
_LINE_SECONDS = 10.0  # elsewhere
_MEANINGFUL_PART = 0.02  # with less done a rate says nothing
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Shows one part of the work after the other on a stream, which is standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._is_terminal = stream, stream.isatty()
        self._what, self._began, self._shown = "", 0.0, 0.0
        self._last = ""

    def __call__(self, what: str, done: int, total: int | None, part: float | None = None) -> None:
        """`done` of `total` are done; `part`, 0 to 1, is that of the time, where it is not done / total."""
        now = time.monotonic()
        if what != self._what:
            self.close()
            self._what, self._began, self._shown = what, now, now
        self._last = described(what, done, total, done / total if part is None and total else part, now - self._began)
        if now - self._shown >= (_AGAIN_SECONDS if self._is_terminal else _LINE_SECONDS):
            self._shown = now
            self._write(self._last)

    def close(self) -> None:
        """End the part that is shown: its last line stays where there is no terminal, and goes on one."""
        if self._is_terminal:
            self._stream.write(_CLEAR)
        elif self._last:
            self._write(self._last)
        self._stream.flush()
        self._last = ""

    def _write(self, text: str) -> None:
        if self._is_terminal:
            columns = shutil.get_terminal_size().columns
            self._stream.write(_CLEAR + one_line(text)[: columns - 1])
        else:
            self._stream.write(f"{one_line(text)}\n")
        self._stream.flush()


def described(what: str, done: int, total: int | None, part: float | None, seconds: float) -> str:
    """How far it is, in words."""
    count = f"{what:<10} {done:,}" + (f" of {total:,}" if total is not None else "")
    if part is not None and _MEANINGFUL_PART < part < 1:
        return f"{count}, {clock_format(seconds * (1 - part) / part)} left"
    return f"{count}, {clock_format(seconds)}{' so far' if part is None or part < 1 else ''}"


@contextmanager
def open_progress() -> Iterator[ProgressLine]:
    """The line on standard error; it is gone from a terminal when this ends."""
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.close()
