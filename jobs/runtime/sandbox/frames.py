"""How messages go through a pipe: a head, which is JSON (messages.py), and a body of bytes, each led by its length."""

from __future__ import annotations

import os
import select
import struct
import time

_LENGTHS = struct.Struct(">II")
_MOST_HEAD = 64 << 10  # bytes; a head is a few words


class BrokenOffPipe(Exception):
    """The other process is gone, or sends what is no message."""


class TooSlow(Exception):
    """The other process did not take or send a message in time."""


def send(pipe: int, head: bytes, body: bytes = b"", *, deadline: float | None = None) -> None:
    """Write a message; with a deadline (time.monotonic) `pipe` must not block. Raises BrokenOffPipe, TooSlow."""
    for part in (_LENGTHS.pack(len(head), len(body)) + head, body):
        rest = memoryview(part)
        while rest:
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                _wait(pipe, select.POLLOUT, deadline)
            except OSError as error:
                raise BrokenOffPipe(str(error)) from error


def receive(pipe: int, *, most: int, deadline: float | None = None) -> tuple[bytes, bytes]:
    """Read the head and the body of a message whose body has at most `most` bytes; as `send`."""
    head_size, body_size = _LENGTHS.unpack(_read(pipe, _LENGTHS.size, deadline))
    if head_size > _MOST_HEAD or body_size > most:
        raise BrokenOffPipe(f"a message of {head_size:,} and {body_size:,} bytes came")
    return _read(pipe, head_size, deadline), _read(pipe, body_size, deadline)


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
