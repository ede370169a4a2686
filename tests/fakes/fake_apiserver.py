"""A tiny HTTP server in place of a Kubernetes API server, for what a real one seldom does: hang, reset, cut, babble.

What it answers is a function of the request, so a test says exactly what goes wrong and when.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipeline.executors.kubernetes.client.api import Api
from pipeline.executors.kubernetes.client.backoff import Gate
from tests.fakes.http_server import HttpServer

TOKEN = "a-token-that-nobody-may-see"  # noqa: S105
_LONGEST_HANG = 30.0  # seconds; no test waits so long
_SECONDS_TO_ARRIVE = 0.05  # a reset overtakes what was sent just before

Fault = Literal["hang", "reset", "cut", "drip"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came in; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any  # parsed JSON; None without a body
    at: float  # time.monotonic()

    @property
    def watch(self) -> bool:
        return self.query.get("watch") == "true"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `hang` and `reset` give none; `cut` ends in the middle of the body; `drip` sends it byte by byte."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Events:
    """A watch's answer: these events (raw bytes for garbage), and then its end."""

    events: Sequence[Any] = ()
    then: Literal["end", "hang", "reset", "cut"] = "hang"
    pause: float = 0.0  # seconds before each event


Answer = Callable[[Asked], Reply | Events]


def in_turn(*answers: Reply | Events) -> Answer:
    """These answers one after the other, and the last one for ever."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def status(code: int, message: str = "", reason: str = "", **details: Any) -> Reply:
    """A failure in the API server's own words."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
    return Reply(body, code)


def event(kind: str, version: int | str, name: str = "a") -> dict[str, Any]:
    """One event of a watch."""
    return {"type": kind, "object": {"metadata": {"name": name, "resourceVersion": str(version)}}}


def listing(*names: str, version: int = 1, rest: str = "") -> Reply:
    """A list, or a page of one."""
    items = [{"metadata": {"name": name}} for name in names]
    return Reply({"kind": "List", "metadata": {"resourceVersion": str(version), "continue": rest}, "items": items})


class FakeApiServer:
    """Serves while it is entered; `answer` may be changed at any time."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or (lambda asked: listing())
        self.asked: list[Asked] = []
        self.gone = threading.Event()  # ends all that hangs

    def __enter__(self) -> FakeApiServer:
        self._server = HttpServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gone.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def watches(self) -> list[Asked]:
        """The requests for a watch so far."""
        return [asked for asked in self.asked if asked.watch]


def write_kubeconfig(
    path: Path, server: str, user: Mapping[str, Any] | None = None, *, namespace: str = "", **cluster: Any
) -> Path:
    """A kubeconfig with one context, `fake`."""
    context = {"cluster": "fake", "user": "fake"} | ({"namespace": namespace} if namespace else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "fake", "user": dict(user or {})}],
        "contexts": [{"name": "fake", "context": context}],
        "current-context": "fake",
    }
    path.write_text(json.dumps(config))
    return path


def connected(
    environment: pytest.MonkeyPatch,
    folder: Path,
    address: str,
    *,
    user: Mapping[str, Any] | None = None,
    gate: Gate | None = None,
    **cluster: Any,
) -> Api:
    """A client of any address, in the namespace `n`, by way of a kubeconfig in a folder."""
    file = write_kubeconfig(folder / "kubeconfig", address, {"token": TOKEN} if user is None else user, **cluster)
    environment.setenv("KUBECONFIG", str(file))
    return Api.connect(namespace="n", gate=gate)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeApiServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        asked = Asked(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query)),
            headers,
            json.loads(body) if body else None,
            time.monotonic(),
        )
        self.fake.asked.append(asked)
        answer = self.fake.answer(asked)
        if isinstance(answer, Events):
            self._stream(answer)
        else:
            self._reply(answer)

    do_PATCH = do_DELETE = do_POST = do_GET  # noqa: N815, names that http.server wants

    def log_message(self, *_: object) -> None:
        pass

    def _reply(self, reply: Reply) -> None:
        if reply.fault in ("hang", "reset"):
            self._end(reply.fault)
            return
        self.send_response_only(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.data)))
        self.end_headers()
        if reply.fault == "cut":
            self.wfile.write(reply.data[: len(reply.data) // 2])
            self._end("cut")
        elif reply.fault == "drip":
            for byte in reply.data:
                self.wfile.write(bytes([byte]))
                self.fake.gone.wait(0.05)
        else:
            self.wfile.write(reply.data)

    def _stream(self, answer: Events) -> None:
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for one in answer.events:
            self.fake.gone.wait(answer.pause)
            line = one if isinstance(one, bytes) else json.dumps(one).encode()
            self.wfile.write(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))
        if answer.then == "end":
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._end(answer.then)

    def _end(self, how: Literal["hang", "reset", "cut"]) -> None:
        if how == "hang":
            self.fake.gone.wait(_LONGEST_HANG)
        elif how == "reset":
            time.sleep(_SECONDS_TO_ARRIVE)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            self.rfile.close()  # holds the connection open
            self.connection.close()
        self.close_connection = True
