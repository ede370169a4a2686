"""Requests to one API server: prepared as data, sent once, through the shared gate and under time limits."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from pipeline.executors.kubernetes.client.api_errors import (
    ClusterError,
    Unauthenticated,
    Unreachable,
    from_answer,
    from_exception,
)
from pipeline.executors.kubernetes.client.backoff import Gate
from pipeline.executors.kubernetes.client.credentials import Credentials, load

CONNECT_SECONDS = 5.0  # TCP and TLS each
READ_SECONDS = 15.0  # between two pieces of an answer; the API server itself gives up after 60 s at most
_ANSWER_SECONDS = 60.0  # for a whole answer, so that one which drips does not hold the caller for ever
_OLD_CREDENTIALS = 60.0  # seconds after which a 401 may mean that they have expired, and not that they are wrong
_LONGEST_LINE = 16 * 2**20  # bytes of one event; etcd takes objects of 1.5 MB
_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, before it is sent."""

    verb: str  # RBAC's word for it
    method: str = "GET"
    path: str  # of the API group: /apis/batch/v1
    namespace: str
    plural: str
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content_type: str = "application/json"

    @property
    def target(self) -> str:
        """Path and query."""
        segments = ["namespaces", self.namespace, self.plural, *([self.name] if self.name else [])]
        path = "/".join([self.path, *(quote(segment, safe="") for segment in segments)])
        query = {name: value for name, value in self.query.items() if value}
        return path + (f"?{urlencode(query)}" if query else "")


class Stream:
    """The lines of an answer that goes on for minutes."""

    def __init__(self, wanted: str, response: Any) -> None:
        self._wanted = wanted
        self._response = response

    def lines(self) -> Iterator[bytes]:
        """Each line as it comes, until the server ends the answer. Raises Unreachable when it breaks off."""
        rest = b""
        while piece := self._piece():
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
            if len(rest) > _LONGEST_LINE:
                raise Unreachable(f"{self._wanted}: a line of more than {_LONGEST_LINE} bytes is not an event")
        if rest:
            yield rest

    def stop(self) -> None:
        """Wakes the thread that reads, from another one."""
        with suppress(Exception):  # it may have ended by itself
            self._response.shutdown()

    def _piece(self) -> bytes:
        try:
            return bytes(self._response.read1(2**16))
        except _BROKEN as error:
            raise from_exception(self._wanted, error) from error


class Connection:
    """One server, as one identity. Safe to use from several threads."""

    def __init__(self, context: str | None = None, gate: Gate | None = None) -> None:
        self.gate = gate or Gate()
        self._context = context
        self._lock = threading.Lock()
        self._use(load(context))

    @property
    def server(self) -> str:
        """The server's address."""
        return self._credentials.server

    @property
    def namespace(self) -> str:
        """Where the context or the Pod is; "" where it names none."""
        return self._credentials.namespace

    def send(self, request: Request) -> dict[str, Any]:
        """The answer's JSON object. One try: raises a ClusterError, Unreachable also while the gate is closed."""
        with self.gate.passage(self._wanted(request)):
            return self._object(request, self._open(request))

    @contextmanager
    def stream(self, request: Request, silence_seconds: float) -> Iterator[Stream]:
        """An answer that is read line by line and may be silent for so long once it has begun.

        That it begins is under the ordinary time limit. Nothing of it counts for the gate: a proxy may hold streams
        back that answers everything else, and as the gate's only try each would keep the others out for 15 seconds.
        """
        self.gate.check(self._wanted(request))
        response = self._open(request)
        try:
            socket = getattr(response.connection, "sock", None)
            if socket:  # else the server wants to close after this answer, and the ordinary limit stays
                socket.settimeout(silence_seconds)
            yield Stream(self._wanted(request), response)
        finally:
            response.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._credentials.pool.clear()

    def _use(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._loaded_at = time.monotonic()

    def _wanted(self, request: Request) -> str:
        target = f"{request.plural}/{request.name}" if request.name else request.plural
        return f"{request.verb} {target} in namespace {request.namespace} of {self.server}"

    def _open(self, request: Request) -> Any:
        """A successful answer whose body is not yet read."""
        credentials = self._credentials
        try:
            return self._answer(request, credentials)
        except Unauthenticated:
            if not self._renewed(credentials):
                raise
        return self._answer(request, self._credentials)

    def _renewed(self, used: Credentials) -> bool:
        """Whether a 401 is worth another try: the library renews neither tokens in files nor plugins' certificates."""
        with self._lock:
            if self._credentials is used and time.monotonic() - self._loaded_at < _OLD_CREDENTIALS:
                return False
            if self._credentials is used:
                self._use(load(self._context))
            return True

    def _answer(self, request: Request, credentials: Credentials) -> Any:
        wanted = self._wanted(request)
        try:
            response = credentials.pool.urlopen(
                request.method,
                credentials.server + request.target,
                body=None if request.body is None else json.dumps(request.body).encode(),
                headers=self._headers(request, credentials),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,  # the caller decides whether to go on
                redirect=False,  # it would carry the token elsewhere
                preload_content=False,
            )
        except _BROKEN as error:
            raise from_exception(wanted, error) from error
        if response.status < 300:
            return response
        body, retry_after = self._body(request, response), response.headers.get("Retry-After")
        raise from_answer(wanted, request.verb, (request.plural, request.name), response.status, body, retry_after)

    def _headers(self, request: Request, credentials: Credentials) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "image-to-prompts"}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        try:
            authorization = credentials.authorization()
        except Exception as error:  # whatever the library or an exec plugin thinks of
            raise Unreachable(
                f"{self._wanted(request)}: the credentials cannot be renewed ({type(error).__name__}); "
                f"if this stays, log in anew"
            ) from error
        return headers | ({"Authorization": authorization} if authorization else {})

    def _body(self, request: Request, response: Any) -> bytes:
        pieces, until = [], time.monotonic() + _ANSWER_SECONDS
        try:
            while piece := response.read1(2**20):
                pieces.append(piece)
                if time.monotonic() > until:
                    raise Unreachable(
                        f"{self._wanted(request)}: the answer is not complete after {_ANSWER_SECONDS:.0f} s"
                    )
        except _BROKEN as error:
            response.close()
            raise from_exception(self._wanted(request), error) from error
        except ClusterError:
            response.close()
            raise
        response.release_conn()
        return b"".join(pieces)

    def _object(self, request: Request, response: Any) -> dict[str, Any]:
        kind = response.headers.get("Content-Type", "nothing")
        try:
            answer = json.loads(self._body(request, response))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(
                f"{self._wanted(request)}: the answer is not a JSON object but {kind}; look for a proxy "
                f"or a log-in page in between"
            )
        return answer
