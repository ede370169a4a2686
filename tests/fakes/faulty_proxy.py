"""An HTTP proxy in front of a real S3 server that spoils requests: at random by seed, or exactly the n-th of a kind.

The Host header goes through as it came, so that signatures hold. Everything that passes is kept in `seen`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.fakes.http_server import HttpServer

Fault = Literal[
    "500",
    "503",
    "507",
    "409",  # refused without reaching the server
    "reset-up",  # the connection is reset in the middle of the request's body, which never reaches the server
    "reset-down",  # executed, then reset in the middle of the reply's body, or before a reply that has none
    "cut-down",  # the same, closed instead of reset
    "stall-down",  # executed, half of the reply's body is sent, then nothing more
    "lost",  # executed, and the answer never comes
]
AT_RANDOM: tuple[Fault, ...] = ("500", "503", "reset-up", "reset-down", "lost")
_CODES = {"500": "InternalError", "503": "SlowDown", "507": "InsufficientStorage", "409": "ConditionalRequestConflict"}
_VOLATILE = re.compile(r"i2p-tests-[0-9a-f]+|[0-9a-f-]{32,36}")  # parts of addresses that differ between runs
_SECONDS_TO_ARRIVE = 0.05  # a reset overtakes what was sent just before
_LONGEST_WAIT = 30.0


@dataclass(slots=True)
class Request:
    """What came by: header names in lower case; `sent` are the reply's body bytes that went to the client."""

    method: str
    path: str
    headers: dict[str, str]
    fault: Fault | None = None
    status: int | None = None
    sent: int = 0


@dataclass(slots=True)
class Rule:
    """Spoil the n-th request with this method whose path holds a text; `then` runs before the client hears of it."""

    fault: Fault
    method: str
    containing: str = ""
    nth: int = 1
    then: Callable[[], Any] = lambda: None
    matched: int = 0

    def hits(self, request: Request) -> bool:
        """Counts, so to be asked once for each request."""
        if request.method != self.method or self.containing not in request.path:
            return False
        self.matched += 1
        return self.matched == self.nth


@dataclass
class FaultyProxy:
    """Serves while it is entered. `rate` is the share of requests that are spoiled at random; `strip` names headers,
    in lower case, that the server never gets to see (requests are then signed anew). While it is `down` every
    connection is reset, as when the server is away; `refused` counts those.
    """

    upstream: str
    rate: float = 0.0
    faults: Sequence[Fault] = AT_RANDOM
    seed: int = 0
    strip: Sequence[str] = ()
    rules: list[Rule] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    down: bool = False
    refused: int = 0

    def __enter__(self) -> FaultyProxy:
        self._lock = threading.Lock()
        self._times: Counter[str] = Counter()
        self._server = HttpServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spoil(
        self, fault: Fault, method: str, containing: str = "", *, nth: int = 1, then: Callable[[], Any] = lambda: None
    ) -> None:
        """Spoil one request to come."""
        self.rules.append(Rule(fault, method, containing, nth, then))

    def matching(self, method: str, containing: str = "") -> list[Request]:
        """The requests so far of that method whose path holds a text, in order."""
        return [request for request in self.seen if request.method == method and containing in request.path]

    def judge(self, request: Request) -> Rule | None:
        """Note a request and say whether and how it is to be spoiled."""
        with self._lock:
            self.seen.append(request)
            hits = [rule for rule in self.rules if rule.hits(request)]
            rule = hits[0] if hits else self._at_random(request)
            if rule:
                request.fault = rule.fault
                self.injected[rule.fault] += 1
            return rule

    def _at_random(self, request: Request) -> Rule | None:
        """Depends on what is asked for and how many times it was, not on the order in which threads ask."""
        kind = f"{self.seed} {request.method} {_VOLATILE.sub('', request.path)}"
        self._times[kind] += 1
        digest = hashlib.sha256(f"{kind} {self._times[kind]}".encode()).digest()
        if int.from_bytes(digest[:8], "big") / 2**64 >= self.rate:
            return None
        return Rule(self.faults[digest[8] % len(self.faults)], request.method)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: else each reply waits 40 ms
    proxy: FaultyProxy

    def do_GET(self) -> None:
        if self.proxy.down:
            self.proxy.refused += 1
            self._end(reset=True)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers)
        rule = self.proxy.judge(request)
        fault = rule.fault if rule else None
        length = int(headers.get("content-length", 0))
        if fault == "reset-up":
            self.rfile.read(length // 2)
            self._end(reset=True)
            return
        body = self.rfile.read(length)
        if fault in _CODES:
            xml = f"<Error><Code>{_CODES[fault]}</Code><Message>injected</Message></Error>".encode()
            status, reply_headers, data = int(fault), [("Content-Type", "application/xml")], xml
            length = len(xml)
        else:
            status, reply_headers, data, length = self._relayed(request, body)
        if rule:
            rule.then()
        self._pass_on(request, status, reply_headers, data, length)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815, names that http.server wants

    def log_message(self, *_: object) -> None:
        pass

    def _relayed(self, request: Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes, int]:
        """The server's status, headers and body, and the length that a HEAD gives."""
        connection = http.client.HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=_LONGEST_WAIT)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._headers_upstream(request, body).items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            reply = connection.getresponse()
            data = reply.read()
            headers = [pair for pair in reply.getheaders() if pair[0].lower() not in ("connection", "content-length")]
            return reply.status, headers, data, int(reply.getheader("Content-Length") or len(data))
        finally:
            connection.close()

    def _pass_on(self, request: Request, status: int, headers: list[tuple[str, str]], data: bytes, length: int) -> None:
        half = data[: len(data) // 2]
        match request.fault:
            case "lost":
                self._wait_for_the_client_to_go()
            case "stall-down":
                self._reply(request, status, headers, half, length)
                self._wait_for_the_client_to_go()
            case "reset-down" | "cut-down":
                if half:
                    self._reply(request, status, headers, half, length)
                    time.sleep(_SECONDS_TO_ARRIVE)
                self._end(reset=request.fault == "reset-down")
            case _:
                self._reply(request, status, headers, data, length)

    def _headers_upstream(self, request: Request, body: bytes) -> dict[str, str]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
        if not request.headers.keys() & set(self.proxy.strip):
            return headers
        signed_anew = ("authorization", "x-amz-date", "x-amz-content-sha256", *self.proxy.strip)
        kept = {name: value for name, value in headers.items() if name.lower() not in signed_anew}
        again = AWSRequest(self.command, f"http://{self.headers['Host']}{self.path}", headers=kept, data=body)
        secrets = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        S3SigV4Auth(secrets, "s3", os.environ["AWS_DEFAULT_REGION"]).add_auth(again)
        return {**dict(again.headers.items()), "Content-Length": str(len(body))}

    def _reply(self, request: Request, status: int, headers: list[tuple[str, str]], body: bytes, length: int) -> None:
        request.status = status
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            request.sent = len(body)  # before: the client may look as soon as it has them
            self.wfile.write(body)

    def _wait_for_the_client_to_go(self) -> None:
        self.connection.settimeout(_LONGEST_WAIT)
        with suppress(OSError):
            self.connection.recv(1)
        self._end(reset=False)

    def _end(self, *, reset: bool) -> None:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # holds the connection open
        self.connection.close()
        self.close_connection = True
