"""SIGTERM where Python cannot answer it: a handler waits for the main thread, which may sit in a library's C code."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.errors import TRY_AGAIN

STUCK_SECONDS = 15.0  # of the 30 that Kubernetes gives by default
_LAST_WORDS_SECONDS = 5.0


@contextmanager
def ending_when_stuck(stops_itself: Callable[[], bool], last_words: Callable[[], None]) -> Iterator[None]:
    """End the process 15 seconds after a SIGTERM if the block has not ended by then and does not stop by itself.

    A connection that is waited for, a collective whose other processes are gone: ending there is safe at any moment,
    because only commits count, and SIGKILL would come anyway, without last words.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # written to by the signal itself, in C
    over = threading.Event()

    def watch() -> None:
        while told := os.read(reading, 1):
            if told[0] == signal.SIGTERM and not over.wait(STUCK_SECONDS) and not stops_itself():
                end_now(last_words)
        os.close(reading)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)


def end_now(last_words: Callable[[], None], exit_code: int = TRY_AGAIN) -> None:
    """End this process for a retry, from any thread, after a few seconds for its last words."""
    speaking = threading.Thread(target=last_words, daemon=True)
    speaking.start()
    speaking.join(_LAST_WORDS_SECONDS)
    os._exit(exit_code)
