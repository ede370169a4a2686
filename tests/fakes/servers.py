"""Servers for the process in the sandbox that do what hostile bytes might make a decoder do."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from jobs.runtime.sandbox.messages import Server, Service
from jobs.shards.strict_json import JsonModel


class Settings(JsonModel):
    """What the server was started with."""

    a: int = 0


class Request(JsonModel):
    """What the server should do; its other members are for some of that."""

    do: Literal["echo", "spin", "grow", "crash", "fail", "lie", "mistake", "look"]
    size: int = 0
    file: str = ""
    port: int = 0


class Done(JsonModel):
    """With some bytes."""


class Echo(JsonModel):
    """With the request's bytes."""

    settings: Settings


class Seen(JsonModel):
    """What the process has, and which of file and port it reached."""

    environment: dict[str, str]
    files: list[int]
    reached: list[str]


Answer = Done | Echo | Seen
MISBEHAVING: Service[Settings, Request, Answer] = Service(
    "tests.fakes.servers:SERVER", Settings, Request, (Done, Echo, Seen)
)


def start(settings: Settings) -> Callable[[Request, bytes], Iterator[tuple[Answer, bytes]]]:
    """The server of MISBEHAVING."""

    def serve(request: Request, data: bytes) -> Iterator[tuple[Answer, bytes]]:
        match request.do:
            case "echo":
                yield Echo(settings=settings), data
            case "spin":
                while True:
                    pass
            case "grow":
                yield Done(), bytes(request.size)[:1]
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "fail":
                raise RuntimeError("a defect")
            case "lie":
                os.write(_answers(), b"\xff" * 64)
            case "mistake":
                yield Echo.model_construct(settings={"a": "many"}), b""
            case "look":
                yield Seen(environment=dict(os.environ), files=_open_files(), reached=_reached(request)), b""

    return serve


SERVER = Server(MISBEHAVING, start)


def _open_files() -> list[int]:
    found = []
    for number in range(64):
        try:
            os.fstat(number)
            found.append(number)
        except OSError:
            continue
    return found


def _answers() -> int:
    return max(_open_files())


def _reached(request: Request) -> list[str]:
    reached = []
    try:
        Path(request.file).read_bytes()
        reached.append("file")
    except OSError:
        pass
    try:
        socket.create_connection(("127.0.0.1", request.port), timeout=5).close()
        reached.append("port")
    except OSError:
        pass
    return reached
