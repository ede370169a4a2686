"""How long to leave a failing server alone: growing, jittered delays, and the gate that all threads share."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.executors.kubernetes.client.api_errors import ClusterError, Unreachable

_FIRST = 0.5  # seconds
_LONGEST = 30.0
_PROBE_SECONDS = 1.0  # how soon to ask again while another thread's request tries whether the server is back


class Backoff:
    """Delays in seconds with equal jitter: half of 0.5, 1, 2 … 30 is certain, the other half random.

    Full jitter would now and then give a delay of almost nothing; the certain half keeps a server that stays dead
    at one request in 15 to 30 seconds after the first minute.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0

    def next(self) -> float:
        """The delay after one more failure."""
        ceiling = min(_LONGEST, _FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return ceiling * (1 + self._jitter()) / 2

    def reset(self) -> None:
        """Begin again from the shortest."""
        self._failures = 0


class Gate:
    """Every request to one server asks here first. Open while the server answers.

    After a failure it is closed for a while: a request that comes too early is not sent and does not sleep, it raises
    Unreachable at once with `retry_in`, so that a controller can go on showing what it knows and decide how long to
    wait. Then one request is let through to try; success opens the gate for all, failure closes it for longer.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, jitter: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._backoff = Backoff(jitter)
        self._lock = threading.Lock()
        self._failures = 0  # of the present streak, as the gate counts them
        self._since: float | None = None
        self._opens = 0.0
        self._probing = False
        self._why = ""

    @property
    def unreachable_since(self) -> float | None:
        """When, on the gate's clock (time.monotonic), the present streak of failures began."""
        return self._since

    @contextmanager
    def passage(self, wanted: str) -> Iterator[None]:
        """Wraps one request; what it raises says whether the server is there."""
        failures, probe = self._enter(wanted)
        try:
            yield
        except ClusterError as error:
            if error.answered:
                self._succeeded()
            else:
                self._failed(error, failures)
            raise
        else:
            self._succeeded()
        finally:  # also after an interrupt, or nobody would be let through again
            if probe:
                self._probing = False

    def check(self, wanted: str) -> None:
        """For a request that neither tries whether the server is back nor says so: raises Unreachable unless open."""
        with self._lock:
            if self._failures:
                raise self._too_early(wanted, max(self._opens - self._clock(), _PROBE_SECONDS))

    def _enter(self, wanted: str) -> tuple[int, bool]:
        with self._lock:
            if not self._failures:
                return 0, False
            wait = max(self._opens - self._clock(), _PROBE_SECONDS if self._probing else 0.0)
            if wait > 0:
                raise self._too_early(wanted, wait)
            self._probing = True
            return self._failures, True

    def _too_early(self, wanted: str, wait: float) -> Unreachable:
        now = self._clock()
        ago = now - (self._since or now)
        return Unreachable(f"{wanted}: not asked again yet, the server has failed for {ago:.0f} s ({self._why})", wait)

    def _succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._since = None
            self._backoff.reset()

    def _failed(self, error: ClusterError, failures: int) -> None:
        asked = error.retry_in if isinstance(error, Unreachable) else 0.0
        with self._lock:
            now = self._clock()
            if failures == self._failures:  # else another request that was sent at the same time has failed already
                self._failures += 1
                self._opens = now + self._backoff.next()
            self._since = now if self._since is None else self._since
            self._opens = max(self._opens, now + asked)
            self._why = str(error)
            if isinstance(error, Unreachable):
                error.retry_in = self._opens - now
