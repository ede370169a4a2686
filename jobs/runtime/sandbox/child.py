"""The sandboxed process: `python -m jobs.runtime.sandbox.child ORDER`, started by pool.py only."""

from __future__ import annotations

import importlib
import os
import resource
import sys
from typing import Any

from jobs.runtime.log import encodable
from jobs.runtime.sandbox.frames import BrokenOffPipe, receive, send
from jobs.runtime.sandbox.landlock import confine
from jobs.runtime.sandbox.messages import Failed, Order, Ready, Server

_MOST_REQUEST = 1 << 32


class _NoPandas:
    """Keeps pyarrow from importing pandas where that is installed: starting would take 2.6 s of CPU in place of 0.7."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("a sandboxed process has no pandas", name=name)


def main(argument: str) -> None:
    """Serve until the pipe of requests is closed."""
    order = Order.decode(argument.encode(), "the argument")
    requests, answers = _pipes()
    sys.meta_path.insert(0, _NoPandas())
    try:
        module, _, name = order.server.partition(":")
        server: Server[Any, Any, Any] = getattr(importlib.import_module(module), name)
        serve = server.start(server.service.settings.model_validate(order.settings))
        request = server.service.request
        _bound_memory(order.memory)
        confine()
    except Exception as error:  # nothing foreign was read yet
        send(answers, _failed(error))
        return
    send(answers, Ready().encode())
    while True:
        try:
            head, body = receive(requests, most=_MOST_REQUEST)
        except BrokenOffPipe:  # nobody asks any more
            return
        _bound_seconds(order.seconds)
        try:
            for answer, content in serve(request.decode(head, "a request"), body):
                send(answers, answer.encode(), content)
                _bound_seconds(order.seconds)
        except Exception as error:
            send(answers, _failed(error))


def _failed(error: Exception) -> bytes:
    words = f"{type(error).__name__}: {error}"[:1000]
    return Failed(error=encodable(words), out_of_memory=isinstance(error, MemoryError)).encode()


def _pipes() -> tuple[int, int]:
    """Standard input and output, of which nothing else in this process then reads or prints."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    return requests, answers


def _bound_memory(size: int) -> None:
    """Let the process have so many bytes more than it has now; also no core file and no file at all to write to."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is one import less
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + size, now + size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _bound_seconds(seconds: float) -> None:
    """Let it be killed (SIGXCPU) after so many seconds of CPU from now; the kernel counts whole ones."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(sys.argv[1])
