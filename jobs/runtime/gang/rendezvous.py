"""Where the processes of a gang meet: a TCPStore that rank 0, the first process of the first Pod, keeps."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import I2PError
from jobs.runtime import log
from jobs.runtime.gang.world import World

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

HANGING = timedelta(minutes=30)  # for one collective of living processes; the dead are noticed by their heartbeat
CALL_SECONDS = 10.0  # for the answer of one process to another

_PATIENCE_SECONDS = 900.0  # a node is added, an image of 10 GB is pulled
_LOOK_SECONDS = 0.5


def meet(world: World) -> TCPStore:
    """The store at which all processes have met, each alive and none of an earlier attempt."""
    until = time.monotonic() + _PATIENCE_SECONDS
    store: TCPStore | None = None
    while True:
        try:
            store = connect(world, serving=world.rank == 0)
            _gather(store, world, until)
            store.set_timeout(HANGING)  # what torch itself asks of it may wait for the slowest
            return store
        except (OSError, RuntimeError, _NotYet) as error:  # no name yet, nobody there yet, or gone again
            if time.monotonic() > until:
                raise I2PError(
                    f"the {world.size} processes of the gang did not all come to {world.host}:{world.port} within "
                    f"{_PATIENCE_SECONDS:.0f} s ({str(error).splitlines()[0]}); a retry waits again. Are all Pods "
                    "running, and does the network let them reach each other?"
                ) from error
            log.note("waiting for the gang", rank=world.rank, reason=str(error).splitlines()[0])
        store = None  # as rank 0: closes the TCPStore, so that all come to the new one
        time.sleep(1)


class _NotYet(Exception):
    """These are not all, or not all alive; meet anew."""


def _gather(store: TCPStore, world: World, until: float) -> None:
    """Return when all have come and answered; raises _NotYet when they have to meet anew."""
    if store.add(f"joined/{world.rank}", 1) > 1:
        store.add("again", 1)
        raise _NotYet("an earlier process of this rank was here; all meet anew")
    joined = store.add("joined", 1)
    if world.rank:
        until_true(lambda: store.check(["call"]), until - time.monotonic())
        store.add("present", 1)
        if not until_true(lambda: store.check(["go"]), 2 * CALL_SECONDS):
            raise _NotYet("rank 0 called and did not go on")
        return

    def all_here() -> bool:
        nonlocal joined
        if store.add("again", 0):
            raise _NotYet("a process was replaced while the others waited")
        joined = store.add("joined", 0)
        return joined == world.size

    if not until_true(all_here, until - time.monotonic()):
        raise _NotYet(f"{joined} of {world.size} are here")
    store.set("call", "")
    if not until_true(lambda: store.add("present", 0) == world.size - 1, CALL_SECONDS):
        raise _NotYet("one that had come does not answer any more")
    store.set("go", "")


def connect(world: World, *, serving: bool = False) -> TCPStore:
    """A connection to the TCPStore; raises OSError or RuntimeError when there is none."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    # Rank 0 goes by localhost: a Pod's own name does not resolve in its first seconds.
    host = "localhost" if world.rank == 0 else world.host
    if not serving:  # in Python, where a signal is answered, unlike in torch's waiting for a server
        socket.create_connection((host, world.port), timeout=CALL_SECONDS).close()
    timeout = timedelta(seconds=CALL_SECONDS)
    return TCPStore(host, world.port, None, serving, timeout, wait_for_workers=False)


def until_true(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it is done within so many seconds."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
