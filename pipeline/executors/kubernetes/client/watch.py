"""A watch that wakes the controller early. LIST decides; where this is silent or wrong, only time is lost."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline.executors.kubernetes.client.api import Api, Resource
from pipeline.executors.kubernetes.client.api_errors import ClusterError, Unreachable
from pipeline.executors.kubernetes.client.backoff import Backoff

if TYPE_CHECKING:
    from pipeline.executors.kubernetes.client.connection import Stream

_SHORTEST, _LONGEST = (
    240,
    300,
)  # seconds that the server is asked to keep one stream; spread, so that not all end at once
_MARGIN = 15.0  # seconds of silence beyond that, after which the connection counts as half-open
_BETWEEN_WAKES = 1.0  # seconds; a Job with thousands of Pods changes many times a second
_LIVED = 10.0  # seconds that a stream must have lasted for the next to follow it without a longer delay
_GOODBYE = 1.0  # seconds to wait for the thread to end; it is a daemon, and may be in the middle of connecting


class _Lost(Exception):
    """The stream no longer says what happens: an ERROR event or garbage."""


class Watch:
    """Follows the objects of a few Jobs or the like in a thread of its own while it is entered.

    It starts at `version`, a listing's, or else with one event for each object there is; in both cases it goes on from
    the last version it saw, until the server no longer knows that one. After such a loss it wakes the controller once,
    for whatever was missed. It waits while the gate of its `api` is closed, and has its own back-off for streams that
    do not begin or do not last. Nothing that happens in here is ever raised to the controller.
    """

    def __init__(self, api: Api, resource: Resource, *, labels: str = "", version: str = "") -> None:
        self._api = api
        self._resource = resource
        self._labels = labels
        self._version = version
        self._backoff = Backoff()
        self._happened = threading.Event()
        self._closed = threading.Event()
        self._woke = float("-inf")
        self._last_event = time.monotonic()
        self._stream: Stream | None = None
        self._began = math.inf  # time.monotonic() when the present stream began; not yet
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource.plural}", daemon=True)
        self.trouble = ""  # why it does not follow just now; "" while it does

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._happened.set()
        if stream := self._stream:
            stream.stop()
        self._thread.join(_GOODBYE)

    @property
    def age(self) -> float:
        """Seconds since the last event or bookmark; the server sends a bookmark about once a minute."""
        return time.monotonic() - self._last_event

    def wait(self, seconds: float) -> bool:
        """Sleep until something has happened since the last wait (True) or the time is over (False).

        True comes at most once a second, so that a burst of events costs one look.
        """
        until = time.monotonic() + seconds
        if not self._happened.wait(seconds):
            return False
        rest = self._woke + _BETWEEN_WAKES - time.monotonic()
        if rest > 0:
            self._closed.wait(min(rest, max(0.0, until - time.monotonic())))
            if self._woke + _BETWEEN_WAKES > time.monotonic():
                return False  # and the next wait returns early
        self._happened.clear()
        self._woke = time.monotonic()
        return True

    def _run(self) -> None:
        while not self._closed.is_set():
            self._closed.wait(self.follow())

    def follow(self) -> float:
        """One stream from its beginning to its end, whatever that is; returns the seconds to wait before the next."""
        self._began = math.inf
        try:
            self._read()
            self.trouble = ""
        except Unreachable as error:
            self.trouble = str(error)
            if error.retry_in:  # the gate's, which has its own back-off, or the server's
                return error.retry_in
        except Exception as error:  # an answer of any other kind, or a fault of our own: begin anew
            self.trouble = str(error) if isinstance(error, ClusterError | _Lost) else repr(error)
            self._version = ""
        finally:
            self._stream = None
        if time.monotonic() - self._began >= _LIVED:
            self._backoff.reset()
            # Without even a bookmark: a server that was restored from a backup waits in silence until it gets to our
            # version again.
            if self._last_event < self._began:
                self._version = ""
        return self._backoff.next()

    def _read(self) -> None:
        seconds = random.randint(_SHORTEST, _LONGEST)  # noqa: S311, not a secret
        query = {
            "labelSelector": self._labels,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        with self._api.stream(self._resource, query, silence_seconds=seconds + _MARGIN) as stream:
            self._stream, self._began = stream, time.monotonic()
            self.trouble = ""
            if not self._version:
                self._happened.set()  # a deletion in the meantime would otherwise show in nothing
            if self._closed.is_set():  # it was, before the stream could be stopped
                return
            for line in stream.lines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        """Note one event. Those that only give the version (bookmarks) wake nobody."""
        version = ""
        with suppress(ValueError, KeyError, TypeError):
            event = json.loads(line)
            if (kind := event["type"]) in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
                version = str(event["object"]["metadata"]["resourceVersion"])
            elif kind == "ERROR":
                status = event["object"]
                raise _Lost(f"the server ended the watch: {status.get('message')}")
        if not version:
            raise _Lost("the server sent something that is not an event")
        self._version = version
        self._last_event = time.monotonic()
        if kind != "BOOKMARK":
            self._happened.set()
