"""Waiting for what another thread, process or machine does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5  # seconds


def wait_for(look: Callable[[], T], seconds: float = 240.0, what: str = "this") -> T:
    """What a look finds, as soon as it finds anything; fails when it finds nothing for so long.

    Four minutes: of a machine that others use too, where a Pod that starts in 2 s once took more than 60.
    """
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return found
