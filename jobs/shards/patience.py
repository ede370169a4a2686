"""Waiting while a whole service is away: growing pauses, one line of the log when it begins and one when it is over."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.errors import StoreError

_LONGEST_PAUSE_SECONDS = 30.0
_SLICE_SECONDS = 0.5  # of a pause; after each it is looked whether the process was asked to stop
_log = logging.getLogger(__name__)


class _Process:
    stopping = False  # set from a signal handler, so without a lock


def give_up() -> None:
    """Wait no more in this process, which was asked to stop: what waits now raises its error at once."""
    _Process.stopping = True


class Patience:
    """How long each operation of a store waits for a service that is away; 0: not at all.

    Stores below a store share one, and so do threads: an outage begins when the first of them waits and is over when
    the last goes on. A copy in another process starts without one.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock, self._waiting, self._since, self._process = threading.Lock(), 0, 0.0, os.getpid()

    def __reduce__(self) -> tuple[type[Patience], tuple[float]]:
        return Patience, (self.seconds,)

    @contextmanager
    def waiting(self, where: str) -> Iterator[Wait]:
        """For one operation, which asks for `where`."""
        if self._process != os.getpid():  # forked, perhaps while another thread held the lock
            self.__init__(self.seconds)  # type: ignore[misc]
        wait = Wait(self, where)
        try:
            yield wait
        except BaseException:
            wait.end("was given up")
            raise
        wait.end("goes on")

    def begun(self, where: str, error: StoreError) -> None:
        """One more operation waits."""
        with self._lock:
            self._waiting += 1
            if self._waiting == 1:
                self._since = time.monotonic()
                _log.warning("%s is away, trying again for up to %.0f s: %s", where, self.seconds, error)

    def ended(self, where: str, how: str) -> None:
        """One less."""
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                _log.warning("%s %s after %.0f s", where, how, time.monotonic() - self._since)


class Wait:
    """The waiting of one operation."""

    def __init__(self, patience: Patience, where: str) -> None:
        self._patience, self._where, self._deadline, self._tries = patience, where, 0.0, 0

    def out(self, error: StoreError) -> None:
        """Sleep before the next try; raises the error when the patience is over, counted from the first one."""
        now = time.monotonic()
        if not self._deadline:
            if self._patience.seconds <= 0 or _Process.stopping:
                raise error
            self._deadline = now + self._patience.seconds
            self._patience.begun(self._where, error)
        pause = random.uniform(0.5, 1) * min(2.0**self._tries, _LONGEST_PAUSE_SECONDS)  # noqa: S311
        pause = max(pause, error.retry_in)
        self._tries += 1
        end = min(now + pause, self._deadline)
        if now >= self._deadline:
            raise error
        while (left := end - time.monotonic()) > 0:
            if _Process.stopping:
                raise error
            time.sleep(min(left, _SLICE_SECONDS))

    def end(self, how: str = "goes on") -> None:
        """The service answered: what comes next has the whole patience again."""
        if self._deadline:
            self._deadline, self._tries = 0.0, 0
            self._patience.ended(self._where, how)


def pause(tries: int) -> None:
    """Sleep a little, longer after more tries."""
    time.sleep(random.uniform(0, min(0.1 * 2**tries, 10)))  # noqa: S311, only to keep callers apart
