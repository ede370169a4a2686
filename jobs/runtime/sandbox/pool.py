"""A sandboxed process: untrusted bytes are decoded by a child that may take so much time and memory and no more.

The child (child.py) is a fresh Python without this one's memory, environment (and so without credentials) or
open files; it has two pipes, and where the kernel can say so it may open no file and no connection. It serves many
requests, and is replaced when it dies. What it cannot do is a reason in words that are the same everywhere, because
that is recorded.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue
from typing import Generic, Self

import jobs
from jobs.errors import Corrupt, I2PError
from jobs.runtime.sandbox.frames import BrokenOffPipe, TooSlow, receive, send
from jobs.runtime.sandbox.messages import A, Failed, Order, Q, S, Service, start_of

_START_SECONDS = 120.0  # of a busy machine; a quiet one takes 0.3
_TRIES = 2  # a child that dies without saying why may have been killed for another one's sake
_KEPT = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "TMPDIR", "TZ")  # of the environment: where libraries are
_MIB = 1 << 20


class Refused(Exception):
    """What was to be decoded took too much, or broke its decoder; `reason` is the same everywhere, `str()` more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may take: seconds of CPU, which a busy machine does not shorten, and bytes of memory."""

    seconds: float
    memory: int

    @property
    def patience(self) -> float:
        """Seconds on the clock after which a child is given up that uses no CPU, or prolongs its own bound."""
        return 30 + 4 * self.seconds


class Child(Generic[S, Q, A]):
    """One process that serves; not for several threads."""

    def __init__(self, service: Service[S, Q, A], settings: S, bounds: Bounds, files: Sequence[int] = ()) -> None:
        self.bounds, self._service = bounds, service
        order = Order(
            server=service.server,
            settings=settings.model_dump(mode="json"),
            seconds=bounds.seconds,
            memory=bounds.memory,
        )
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "jobs.runtime.sandbox.child", order.encode().decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(),
            pass_fds=tuple(files),
            cwd="/",
        )
        assert self._process.stdin and self._process.stdout  # noqa: S101 - for the type checker
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        for pipe in (self._to, self._from):
            os.set_blocking(pipe, False)
            with suppress(OSError):  # only quicker; a user may have so many large pipes
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _MIB)
        self._started = False

    def ask(self, request: Q, body: bytes = b"") -> None:
        """Send a request; raises Died, or I2PError when the process cannot start: that is no request's fault."""
        if not self._started:
            try:
                with self._translate_failures(_START_SECONDS) as deadline:
                    started = start_of(receive(self._from, most=0, deadline=deadline)[0])
            except (Died, Refused) as error:
                raise I2PError(f"a process to decode foreign bytes {error} before it was asked anything") from error
            if isinstance(started, Failed):
                raise I2PError(f"a process to decode foreign bytes cannot start: {started.error}")
            self._started = True
        with self._translate_failures(self.bounds.patience) as deadline:
            send(self._to, request.encode(), body, deadline=deadline)

    def answer(self, most: int) -> tuple[A, bytes]:
        """The next answer, whose body has at most `most` bytes; raises Died, or Refused where the child says why."""
        with self._translate_failures(self.bounds.patience) as deadline:
            head, body = receive(self._from, most=most, deadline=deadline)
            answer = self._service.answer_in(head)
        if not isinstance(answer, Failed):
            return answer, body
        if answer.out_of_memory:
            raise Refused(_too_much_memory(self.bounds))
        raise Refused("broke its decoder", answer.error)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    @contextmanager
    def _translate_failures(self, seconds: float) -> Iterator[float]:
        try:
            yield time.monotonic() + seconds
        except TooSlow:
            self.close()
            raise Died("gave no answer") from None
        except (BrokenOffPipe, Corrupt):
            self._process.kill()
            code = self._process.wait()
            self.close()
            if code == -signal.SIGXCPU:
                raise Refused(f"took more than {self.bounds.seconds:g} s to decode") from None
            raise Died(f"ended with {code}") from None


class Died(Exception):
    """A child ended without a reason of its own."""


class Pool(Generic[S, Q, A]):
    """As many children as threads ask at once, each started when it is first needed; for one answer a request."""

    def __init__(self, service: Service[S, Q, A], settings: S, bounds: Bounds, size: int) -> None:
        self._arguments = (service, settings, bounds)
        self._idle: LifoQueue[Child[S, Q, A] | None] = LifoQueue()
        self._all: set[Child[S, Q, A]] = set()
        self._lock = threading.Lock()
        for _ in range(size):
            self._idle.put(None)

    def ask(self, request: Q, body: bytes, *, most: int) -> tuple[A, bytes]:
        """One answer; raises Refused. A request that ends its process is tried once more before it is blamed."""
        child = self._idle.get()
        try:
            for tries in range(_TRIES):
                child = child or self._start()
                try:
                    child.ask(request, body)
                    return child.answer(most)
                except (Died, Refused, I2PError) as error:
                    self._end(child)
                    child = None
                    if not isinstance(error, Died):
                        raise
                    if tries + 1 == _TRIES:
                        raise Refused("ended the process that decoded it", str(error)) from error
        finally:
            self._idle.put(child)
        raise AssertionError  # the loop returns or raises

    def start(self) -> None:
        """Start all children now, so that they are ready when they are needed."""
        for _ in range(self._idle.qsize()):
            child = self._idle.get()
            self._idle.put(child or self._start())

    def close(self) -> None:
        """End all children."""
        for child in list(self._all):
            self._end(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _start(self) -> Child[S, Q, A]:
        child = Child(*self._arguments)
        with self._lock:
            self._all.add(child)
        return child

    def _end(self, child: Child[S, Q, A]) -> None:
        with self._lock:
            self._all.discard(child)
        child.close()


def _too_much_memory(bounds: Bounds) -> str:
    return f"took more than {bounds.memory // _MIB:,} MiB to decode"


def _environment() -> dict[str, str]:
    """No variable that could be a secret: the interpreter's own, and one thread for the libraries."""
    root = str(Path(jobs.__file__).resolve().parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    fixed = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve addresses far beyond what they use
        "MALLOC_ARENA_MAX": "1",
        # By default an image's memory goes back to the kernel each time, which costs a quarter of all its decoding.
        "MALLOC_MMAP_THRESHOLD_": str(32 * _MIB),
        "MALLOC_TRIM_THRESHOLD_": str(128 * _MIB),
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **fixed}
