"""The sandboxed process: `python -m jobs.runtime.sandbox.child DESCRIPTION`, started by pool.py only.

The description names an entry, "package.module:function". `function(settings)` is called once, imports all that it
will need and returns the server: a function from a request (a JSON object and bytes) to its answers, one or several.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

from jobs.runtime.sandbox.frames import BrokenOffPipe, Message, receive, send
from jobs.runtime.sandbox.landlock import confine

Server = Callable[[dict[str, Any], bytes], Iterator[Message]]

_MOST_REQUEST = 1 << 32


def main(description: str) -> None:
    """Serve until the pipe of requests is closed."""
    order = json.loads(description)
    requests, answers = _pipes()
    try:
        module, _, function = order["entry"].partition(":")
        server: Server = getattr(importlib.import_module(module), function)(order["settings"])
        _bound_memory(order["memory"])
        confine()
    except Exception as error:  # nothing foreign was read yet
        send(answers, {"error": _words(error)})
        return
    send(answers, {"ready": True})
    while True:
        try:
            head, body = receive(requests, most=_MOST_REQUEST)
        except BrokenOffPipe:  # nobody asks any more
            return
        _bound_seconds(order["seconds"])
        try:
            for answer in server(head, body):
                send(answers, *answer)
                _bound_seconds(order["seconds"])
        except MemoryError:
            send(answers, {"refused": "memory"})
        except Exception as error:
            send(answers, {"error": _words(error)})


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]


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
