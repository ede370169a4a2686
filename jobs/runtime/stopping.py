"""SIGTERM: noted while the worker is still being imported, raised while it works, and answered where Python cannot.

A handler of Python waits for the main thread, which may sit in a library's C code for long. Imports little, so that
`note_sigterm` can be called early.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import ClassVar

from jobs.errors import TRY_AGAIN

STUCK_SECONDS = 15.0  # of the 30 that Kubernetes gives by default
_HEARD_SECONDS = 2.0  # after which the reason is left by another thread than the main one; a grace period may be short
_REPORT_SECONDS = 5.0

_asked = threading.Event()


class Stopped(BaseException):
    """The worker was asked to stop (SIGTERM); a retry goes on where it left off.

    Like KeyboardInterrupt it can be raised anywhere and is no error of what it interrupts, so `except Exception` must
    not catch it: botocore would take it for a failed request and send that again, a decoder for a damaged image.
    """

    exit_code: ClassVar[int] = TRY_AGAIN


def note_sigterm() -> None:
    """Until another handler is set, only note a SIGTERM, and end the process if that takes more than 15 seconds.

    For the seconds of the imports: the kernel drops a SIGTERM for process 1 of a container that has no handler, and a
    process that ended at once would leave no reason, while its Pod may be deleted with it.
    """
    signal.signal(signal.SIGTERM, _note)


def _note(_signal: int, _frame: FrameType | None) -> None:
    if not _asked.is_set():
        _asked.set()
        threading.Thread(target=_end_in_time, daemon=True).start()


def _end_in_time() -> None:
    time.sleep(STUCK_SECONDS)
    reason = f"asked to stop by SIGTERM while it was imported, which took more than another {STUCK_SECONDS:.0f} s"
    print(reason, file=sys.stderr, flush=True)
    os._exit(TRY_AGAIN)


def asked_early() -> bool:
    """Whether a SIGTERM was noted."""
    return _asked.is_set()


def stop_when_asked_early() -> None:
    """Raises Stopped if a SIGTERM was noted; to be called after another handler was set."""
    if _asked.is_set():
        raise Stopped("asked to stop by SIGTERM before any work was begun; a retry does it")


def stop(_signal: int, _frame: FrameType | None) -> None:
    """The handler of SIGTERM for work that can be stopped anywhere; raises Stopped."""
    raise Stopped("asked to stop by SIGTERM; what was committed is kept, a retry goes on from there")


@contextmanager
def ending_when_stuck(stops_itself: Callable[[], bool], report: Callable[[BaseException], None]) -> Iterator[None]:
    """See to it that a SIGTERM ends the process and leaves its reason, unless the block stops by itself.

    When the block has not ended two seconds after the SIGTERM, the reason is left from here, with what the main thread
    is at: after a short grace period SIGKILL leaves none. 15 seconds after it the process ends. A connection that is
    waited for, a collective whose other processes are gone: ending there is safe at any moment, because only commits
    count.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # written to by the signal itself, in C
    over, main = threading.Event(), threading.main_thread().ident

    def watch() -> None:
        while received := os.read(reading, 1):
            if received[0] != signal.SIGTERM or over.wait(_HEARD_SECONDS) or stops_itself():
                continue
            stuck = Stopped(
                "asked to stop by SIGTERM, and busy with something that cannot be interrupted; a retry "
                "goes on from what was committed"
            )
            if frame := sys._current_frames().get(main or 0):
                import traceback

                stuck.add_note("The main thread was here:\n" + "".join(traceback.format_stack(frame)))
            reporting = _reporting(partial(report, stuck))
            if not over.wait(STUCK_SECONDS - _HEARD_SECONDS) and not stops_itself():
                reporting.join(_REPORT_SECONDS)
                os._exit(TRY_AGAIN)
        os.close(reading)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)


def end_now(report: Callable[[], None], exit_code: int = TRY_AGAIN) -> None:
    """End this process for a retry, from any thread, after a few seconds for its report."""
    _reporting(report).join(_REPORT_SECONDS)
    os._exit(exit_code)


def _reporting(report: Callable[[], None]) -> threading.Thread:
    reporting = threading.Thread(target=report, daemon=True)
    reporting.start()
    return reporting
