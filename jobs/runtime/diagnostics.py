"""What an attempt leaves for when its Pod and node are gone: its log while it runs, its failures, why it ended."""

from __future__ import annotations

import fcntl
import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobs.errors import Corrupt, I2PError, NotFound, exit_code_of, severity
from jobs.runtime import log
from jobs.runtime.environment import TERMINATION_VARIABLE
from jobs.runtime.events import Exited, Failed, event_in, log_name
from jobs.shards.store import Store
from jobs.shards.strict_json import Count, JsonModel, Seconds

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 30.0
_LAST_UPLOAD_SECONDS = 10.0
_LONGEST_MESSAGE = 4096  # bytes; the kubelet cuts longer ones, and half a JSON is none


class Diagnostics:
    """The objects of one attempt below its stage's store; leaving them never disturbs the work."""

    def __init__(self, output: Store, index: int, attempt: str) -> None:
        self.output, self.index, self.attempt = output, index, attempt
        self._shipping = threading.Lock()

    @contextmanager
    def shipping(self) -> Iterator[None]:
        """Upload the log at once, which shows that this attempt began, then whenever it has grown, and at the end.

        In a thread of its own, where no signal is answered: a SIGTERM during an upload is the main thread's to answer.
        """
        done = threading.Event()
        threading.Thread(target=self._keep_shipping, args=(done,), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            self.ship_log()

    def ship_log(self) -> None:
        """Leave the log in the store as it is now: one object of this attempt's own, so one request without asking."""
        ours = self._shipping.acquire(timeout=_LAST_UPLOAD_SECONDS)  # an older log under way must not arrive last
        try:
            # A log is what a Pod's attempt is known and counted by; the other processes of the Pod go beside it.
            name = log_name(self.index, self.attempt, whole_pod=self.attempt == _pod(self.attempt))
            self.output.put(name, log.lines())
        except Exception as error:  # whatever it is, the work is what counts
            log.note("not uploaded", object="log", error=f"{type(error).__name__}: {error}")
        finally:
            if ours:
                self._shipping.release()

    def _keep_shipping(self, done: threading.Event) -> None:
        pause, seen = _FIRST_PAUSE_SECONDS, log.written()
        self.ship_log()
        while not done.wait(pause):
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
            if (written := log.written()) != seen:
                seen = written
                self.ship_log()

    def report_failure(self, error: BaseException, *, unit: str | None = None) -> None:
        """Leave the reason and the traceback in the store, where `why` finds them, and the reason with the Pod."""
        failure = Failure(
            unit=unit,
            index=self.index,
            attempt=self.attempt,
            exit_code=exit_code_of(error),
            error=log.encodable(f"{type(error).__name__}: {error}"),
            traceback=log.encodable("".join(traceback.format_exception(error))),
            time=time.time(),
        )
        log.emit(Failed(**failure.model_dump(exclude={"time"})))
        leave_termination_message(error, unit=unit, attempt=self.attempt)
        name = f"failures/{unit or f'index-{self.index}'}-{self.attempt}.json"
        try:
            self.output.create(name, failure.encode())
        except I2PError as failed:  # must not hide the failure that is being reported, which stderr has
            log.note("not uploaded", object=name, error=str(failed))


class Failure(JsonModel):
    """Why one attempt failed, by its own account."""

    unit: str | None
    index: Count
    attempt: str
    exit_code: int
    error: str
    traceback: str
    time: Seconds


class TerminationMessage(JsonModel):
    """Why a container ended, as its Pod's status shows it."""

    unit: str | None
    error: str
    exit_code: int
    attempt: str


def failures_in(stage: Store, *, containing: str = "") -> Iterator[Failure]:
    """The failures that attempts left in a stage's store, of names that contain a text; what is none is passed over."""
    for stat in stage.list("failures/"):
        if containing in stat.name and (failure := failure_in(stage, stat.name)):
            yield failure


def failure_in(stage: Store, name: str) -> Failure | None:
    """The failure in the object of that name; None where there is none that can be read."""
    with suppress(NotFound, Corrupt):
        return Failure.decode(stage.read(name).data, name)
    return None


def reason_in(message: str) -> str:
    """Why a container ended, by its own account; empty where it gave none.

    A container that left no termination message has the last lines of its log in place of one.
    """
    for line in reversed(message.encode(errors="replace").splitlines()):  # of bytes: text has more kinds of line ends
        with suppress(Corrupt):
            return TerminationMessage.decode(line, "the termination message").error
        if isinstance(event := event_in(line), Failed | Exited):
            return event.error
    return ""


def leave_termination_message(error: BaseException, *, unit: str | None, attempt: str) -> None:
    """Write the container's termination message, if there is a file for it.

    The first of several failures stays unless a later one is more severe: what fails after it fails because of it.
    """
    path = os.environ.get(TERMINATION_VARIABLE)
    if not path:
        return
    message = TerminationMessage(
        unit=unit,
        error=log.encodable(f"{type(error).__name__}: {error}"),
        exit_code=exit_code_of(error),
        attempt=attempt,
    )
    try:
        with open(path, "a+b") as file:  # noqa: PTH123 - it may be a device's name
            fcntl.flock(file, fcntl.LOCK_EX)  # the processes of one Pod share it
            file.seek(0)
            if _stays(file.read(_LONGEST_MESSAGE), message):
                return
            file.truncate(0)
            file.write(_cut(message))
    except Exception as failed:  # the failure itself is what counts
        log.note("no termination message", error=f"{type(failed).__name__}: {failed}")


def _stays(before: bytes, message: TerminationMessage) -> bool:
    """Whether an earlier message of the same Pod says more."""
    try:
        found = TerminationMessage.decode(before, "the termination message")
    except Corrupt:
        return False
    return _pod(found.attempt) == _pod(message.attempt) and severity(found.exit_code) >= severity(message.exit_code)


def _pod(attempt: str) -> str:
    return attempt.partition(".")[0]  # what follows the dot is the number of a process in its Pod


def _cut(message: TerminationMessage) -> bytes:
    error = message.error[:_LONGEST_MESSAGE]
    while len(body := message.model_copy(update={"error": error}).encode()) > _LONGEST_MESSAGE:
        error = error[: -max(2, (len(body) - _LONGEST_MESSAGE) // 6)] + "…"
    return body
