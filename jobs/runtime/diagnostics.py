"""What an attempt leaves for when its Pod and node are gone: its log while it runs, its failures, its last words."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from jobs.errors import Corrupt, JobError, NotFound, exit_code_of, severity
from jobs.runtime import log
from jobs.runtime.environment import TERMINATION_VARIABLE
from jobs.shards.digests import canonical_json
from jobs.shards.store import Store
from jobs.shards.strict_json import STRICT, Count, Seconds, decode

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 30.0
_LAST_SHIP_SECONDS = 10.0
_LONGEST_MESSAGE = 4096  # bytes; the kubelet cuts longer ones, and half a JSON is none


class Evidence:
    """The objects of one attempt below its stage's store; leaving them never disturbs the work."""

    def __init__(self, output: Store, index: int, attempt: str) -> None:
        self.output, self.index, self.attempt = output, index, attempt
        self._shipping = threading.Lock()

    @contextmanager
    def shipping(self) -> Iterator[None]:
        """Ship the log at once, which tells that this attempt began, then while there is something new, and at the end.

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
        ours = self._shipping.acquire(timeout=_LAST_SHIP_SECONDS)  # an older log under way must not arrive last
        try:
            # A log is what a Pod's attempt is known and counted by; the other processes of the Pod go beside it.
            folder = "logs" if self.attempt == _pod(self.attempt) else "processes"
            self.output.put(f"{folder}/{self.index:05d}-{self.attempt}.jsonl", log.lines())
        except Exception as error:  # whatever it is, the work is what counts
            log.event("not shipped", object="log", error=f"{type(error).__name__}: {error}")
        finally:
            if ours:
                self._shipping.release()

    def _keep_shipping(self, done: threading.Event) -> None:
        pause, shipped = _FIRST_PAUSE_SECONDS, log.written()
        self.ship_log()
        while not done.wait(pause):
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
            if (written := log.written()) != shipped:
                shipped = written
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
        log.event("failed", **asdict(failure))
        leave_termination_message(error, unit=unit, attempt=self.attempt)
        name = f"failures/{unit or f'index-{self.index}'}-{self.attempt}.json"
        try:
            self.output.create(name, canonical_json(asdict(failure)))
        except JobError as failed:  # must not hide the failure that is being reported, which stderr has
            log.event("not shipped", object=name, error=str(failed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why one attempt failed, by its own account."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    unit: str | None
    index: Count
    attempt: str
    exit_code: int
    error: str
    traceback: str
    time: Seconds


_FAILURE = TypeAdapter(Failure)


def failures_in(stage: Store, *, containing: str = "") -> Iterator[Failure]:
    """The failures that attempts left in a stage's store, of names that contain a text; what is none is passed over."""
    for stat in stage.list("failures/"):
        if containing in stat.name and (failure := failure_in(stage, stat.name)):
            yield failure


def failure_in(stage: Store, name: str) -> Failure | None:
    """The failure in the object of that name; None where there is none that can be read."""
    with suppress(NotFound, Corrupt):
        return decode(_FAILURE, stage.read(name).data, name, "a failure")
    return None


def leave_termination_message(error: BaseException, *, unit: str | None, attempt: str) -> None:
    """Write {unit, error, exit_code, attempt} to the container's termination message, if there is a file for it.

    The first of several failures stays unless a later one is more severe: what fails after it fails because of it.
    """
    path = os.environ.get(TERMINATION_VARIABLE)
    if not path:
        return
    told = {"unit": unit, "error": log.encodable(f"{type(error).__name__}: {error}"),
            "exit_code": exit_code_of(error), "attempt": attempt}  # fmt: skip
    try:
        with open(path, "a+b") as file:  # noqa: PTH123 - it may be a device's name
            fcntl.flock(file, fcntl.LOCK_EX)  # the processes of one Pod share it
            file.seek(0)
            if _stays(file.read(_LONGEST_MESSAGE), told):
                return
            file.truncate(0)
            file.write(_cut(told))
    except Exception as failed:  # the failure itself is what counts
        log.event("no termination message", error=f"{type(failed).__name__}: {failed}")


def _stays(before: bytes, told: dict[str, Any]) -> bool:
    """Whether an earlier message of the same Pod says more."""
    try:
        found = json.loads(before)
        return _pod(found["attempt"]) == _pod(told["attempt"]) and (
            severity(found["exit_code"]) >= severity(told["exit_code"])
        )
    except (ValueError, TypeError, KeyError):
        return False


def _pod(attempt: str) -> str:
    return attempt.partition(".")[0]  # what follows the dot is the number of a process in its Pod


def _cut(told: dict[str, Any]) -> bytes:
    error = told["error"][:_LONGEST_MESSAGE]
    while len(body := canonical_json({**told, "error": error})) > _LONGEST_MESSAGE:
        error = error[: -max(2, (len(body) - _LONGEST_MESSAGE) // 6)] + "…"
    return body
