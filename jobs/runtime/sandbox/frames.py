"""Messages between a worker and a sandboxed process: a JSON object and bytes, each led by its length.

JSON and not pickle: what comes back from a process that decoded foreign bytes is foreign itself.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any

Message = tuple[dict[str, Any], bytes]

_LENGTHS = struct.Struct(">II")
_MOST_HEAD = 64 << 10  # bytes; a head is a few words


class BrokenOffPipe(Exception):
    """The other process is gone, or sends what is no message."""


class TooSlow(Exception):
    """The other process did not take or send a message in time."""


def send(pipe: int, head: dict[str, Any], body: bytes = b"", *, deadline: float | None = None) -> None:
    """Write a message; with a deadline (time.monotonic) `pipe` must not block. Raises BrokenOffPipe, TooSlow."""
    text = json.dumps(head).encode()
    for part in (_LENGTHS.pack(len(text), len(body)) + text, body):
        rest = memoryview(part)
        while rest:
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                _wait(pipe, select.POLLOUT, deadline)
            except OSError as error:
                raise BrokenOffPipe(str(error)) from error


def receive(pipe: int, *, most: int, deadline: float | None = None) -> Message:
    """Read a message whose body has at most `most` bytes; as `send`."""
    head_size, body_size = _LENGTHS.unpack(_read(pipe, _LENGTHS.size, deadline))
    if head_size > _MOST_HEAD or body_size > most:
        raise BrokenOffPipe(f"a message of {head_size:,} and {body_size:,} bytes came")
    try:
        head = json.loads(_read(pipe, head_size, deadline))
    except (ValueError, RecursionError) as error:
        raise BrokenOffPipe("a message came that is no JSON") from error
    if not isinstance(head, dict):
        raise BrokenOffPipe("a message came that is no object")
    return head, _read(pipe, body_size, deadline)


def _read(pipe: int, size: int, deadline: float | None) -> bytes:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        try:
            count = os.readv(pipe, [rest])
        except BlockingIOError:
            _wait(pipe, select.POLLIN, deadline)
            continue
        except OSError as error:
            raise BrokenOffPipe(str(error)) from error
        if not count:
            raise BrokenOffPipe("the pipe was closed")
        rest = rest[count:]
    return bytes(data)


def _wait(pipe: int, event: int, deadline: float | None) -> None:
    if deadline is None:
        return
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TooSlow
