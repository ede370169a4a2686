"""Servers for the process in the sandbox that do what hostile bytes might make a decoder do."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jobs.runtime.sandbox.frames import Message


def misbehaving(settings: dict[str, Any]) -> Callable[[dict[str, Any], bytes], Iterator[Message]]:
    """The server: the request's member `do` says what."""

    def serve(request: dict[str, Any], data: bytes) -> Iterator[Message]:
        match request["do"]:
            case "echo":
                yield {"settings": settings}, data
            case "spin":
                while True:
                    pass
            case "grow":
                yield {}, bytes(request["size"])[:1]
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "fail":
                raise RuntimeError("a defect")
            case "lie":
                os.write(1 if request.get("stdout") else _answers(), b"\xff" * 64)
            case "look":
                yield {"environment": dict(os.environ), "files": _open_files(), "reached": _reached(request)}, b""

    return serve


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


def _reached(request: dict[str, Any]) -> list[str]:
    reached = []
    try:
        Path(request["file"]).read_bytes()
        reached.append("file")
    except OSError:
        pass
    try:
        socket.create_connection(("127.0.0.1", request["port"]), timeout=5).close()
        reached.append("port")
    except OSError:
        pass
    return reached
