"""Lives of a controller, each of which is killed at one of its calls to the outside, right before or right after it.

python -m tests.fakes.mortal_controller      reads Lives from standard input and answers Ends, a line of JSON each

Everything is imported once, and each life is a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from importlib import import_module
from typing import Any, TypedDict
from urllib.parse import urlsplit

import botocore.httpsession

import pipeline.__main__ as command_line
from pipeline.executors.kubernetes.client import connection

_IMPORTED_LATE = (
    "pipeline.executors.kubernetes.executor",
    "kubernetes.config",
    "kubernetes.client.rest",
)  # by every life
_LONGEST_LIFE = 200  # seconds
_READING = ("get", "list", "watch", "GET", "HEAD")
_NOTE = "a note"  # that a controller runs, which each leaves first and withdraws last; nothing depends on it


class Life(TypedDict):
    """What is to be lived: the command line, the file for what it prints, and `before` or `after` which call it dies.

    A call is one request to the API server or to the bucket; they are counted from 1, and 0 is none. Where only changes
    count, those that read do not.
    """

    arguments: list[str]
    log: str
    moment: str
    call: int
    only_changes: bool


class End(TypedDict):
    """How it ended: the exit code (-9 when it was killed), how many calls it made, and the deadly or last one in words.

    Threads make calls too, so that there may be one more than the deadly one.
    """

    code: int
    calls: int
    last: str


class Calls:
    """Counts the calls of one life, in the order in which they are made, and ends it at one of them."""

    def __init__(self, life: Life, report: int) -> None:
        self._moment, self._deadly, self._only_changes = life["moment"], life["call"], life["only_changes"]
        self._report = report
        self._lock = threading.Lock()
        self._made = 0
        self._last = ""

    def wrapped(self, send: Any, noted: Any) -> Any:
        """A function that sends and is counted; `noted` makes words of its arguments."""

        def sent(*arguments: Any) -> Any:
            words = noted(*arguments)
            if self._only_changes and (words.split()[0] in _READING or words.endswith(_NOTE)):
                return send(*arguments)
            with self._lock:
                self._made += 1
                mine = self._made == self._deadly
                if self._made <= self._deadly or not self._deadly:
                    self._last = words
                if mine and self._moment == "before":
                    self.die()
            try:
                return send(*arguments)
            finally:
                if mine:
                    self.die()

        return sent

    def die(self) -> None:
        """As a crash does."""
        self.notify()
        os.kill(os.getpid(), signal.SIGKILL)

    def notify(self) -> None:
        """Report the life so far."""
        os.write(self._report, json.dumps({"calls": self._made, "last": self._last}).encode())


def live(life: Life, report: int) -> int:
    """One life; returns its exit code if it comes to that."""
    signal.alarm(_LONGEST_LIFE)
    out = os.open(life["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    calls = Calls(life, report)
    cluster: Any = connection.Connection
    bucket: Any = botocore.httpsession.URLLib3Session
    cluster._answer = calls.wrapped(
        cluster._answer, lambda _self, request, _credentials: f"{request.verb} {request.plural}"
    )
    bucket.send = calls.wrapped(bucket.send, lambda _self, request: f"{request.method} {_object(request.url)}")
    code = command_line.main(life["arguments"])
    sys.stdout.flush()
    calls.notify()
    return code


def _object(url: str) -> str:
    folder, _, name = urlsplit(url).path.rpartition("/")
    return _NOTE if folder.endswith("/live") else name


def end_of(life: Life) -> End:
    """Live it in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os._exit(live(life, writing))
        finally:
            os._exit(1)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as report:
        noted = json.loads(report.read() or "{}")
    return {"code": os.waitstatus_to_exitcode(status), "calls": noted.get("calls", 0), "last": noted.get("last", "")}


if __name__ == "__main__":
    for module in _IMPORTED_LATE:
        import_module(module)
    for line in sys.stdin:
        print(json.dumps(end_of(json.loads(line))), flush=True)
