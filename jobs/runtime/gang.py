"""Several processes in one or several Pods as one world of torch.distributed: started, brought together, watched.

Of the first Pod the first process is rank 0; it keeps the meeting place, a TCPStore. Not torchrun: its exit code
is 1 whatever a worker ended with, which would make bad data and bad configuration into retries, and its rendezvous
counts restarts inside a Pod, where a Job replaces Pods. Of what it does, this needs little.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING

from jobs.errors import PEER_LOST, BadConfiguration, JobError, PeerLost, severity
from jobs.runtime import log
from jobs.runtime.environment import ATTEMPT_VARIABLE, END_WITH_PARENT_VARIABLE, MASTER_VARIABLE, PROCESSES_VARIABLE
from jobs.runtime.stopping import asked_early, end_now

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

_PATIENCE_SECONDS = 900.0  # a node is added, an image of 10 GB is pulled
_LOOK_SECONDS = 0.5
_CALL_SECONDS = 10.0  # for the answer of one process to another
_BEAT_SECONDS = 2.0
_DEAD_SECONDS = 60.0  # without a beat; serialising a large checkpoint may keep all threads waiting for some
_OWN_END_SECONDS = 20.0  # for the main thread to fail by itself, which tells more
_HANGING = timedelta(minutes=30)  # for one collective of living processes; the dead are noticed by their beat
_ALL_END_SECONDS = _OWN_END_SECONDS + 15  # for the other processes of a Pod, when one ended for a loss in another Pod
_KILL_SECONDS = 60.0  # after the others were asked to stop; they may be uploading a checkpoint
_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")  # gloo, NCCL


_GOES_ON = "a retry goes on from the newest checkpoint"


@dataclass(frozen=True, slots=True)
class World:
    """One process's place among all."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    host: str
    port: int

    def variables(self) -> dict[str, str]:
        """What torch and accelerate read."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local_rank),
            "LOCAL_WORLD_SIZE": str(self.local_size),
            "MASTER_ADDR": self.host,
            "MASTER_PORT": str(self.port),
        }


def worlds_of_pod(index: int, pods: int, environ: Mapping[str, str]) -> list[World]:
    """The places of the processes of one Pod; raises BadConfiguration when the variables are wrong."""
    try:
        processes = int(environ.get(PROCESSES_VARIABLE, "1"))
        host, _, port = environ.get(MASTER_VARIABLE, "").rpartition(":")
        if not host and pods == 1:
            host, port = "localhost", str(_free_port())
        if processes < 1 or not host:
            raise ValueError(f"{processes} processes, master {host!r}")
        return [
            World(index * processes + local, pods * processes, local, processes, host, int(port))
            for local in range(processes)
        ]
    except ValueError as error:
        raise BadConfiguration(f"several Pods that work together need {MASTER_VARIABLE}=HOST:PORT and perhaps "
                               f"{PROCESSES_VARIABLE}, the processes of each: {error}") from error  # fmt: skip


def launch(worlds: Sequence[World], attempt: str) -> int:
    """Run this program once for each place and return the most severe of the exit codes.

    SIGTERM is passed on. When one fails the others are asked to stop, and killed after a minute. When one has lost a
    process of another Pod, the others are first left to notice it too: asked to stop, they would end as if the Pod was.
    """
    processes: list[subprocess.Popen[bytes]] = []
    asked = threading.Event()

    def pass_on(_signal: int, _frame: FrameType | None) -> None:
        asked.set()
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    for world in worlds:
        name = f"{attempt}.{world.local_rank}" if world.local_rank else attempt
        env = {**os.environ, **world.variables(), ATTEMPT_VARIABLE: name, END_WITH_PARENT_VARIABLE: "1",
               MASTER_VARIABLE: f"{world.host}:{world.port}"}  # fmt: skip
        processes.append(subprocess.Popen([sys.executable, "-m", "jobs"], env=env, stdin=subprocess.PIPE))
    if asked.is_set() or asked_early():  # while they were being started, or just before
        pass_on(signal.SIGTERM, None)
    stop_at = kill_at = math.inf
    while any(process.poll() is None for process in processes):
        time.sleep(0.2)
        if failed := [process.returncode for process in processes if process.poll()]:
            patience = _ALL_END_SECONDS if set(failed) == {PEER_LOST} else 0.0
            stop_at = min(stop_at, time.monotonic() + patience)
        if kill_at == math.inf and time.monotonic() >= stop_at:
            kill_at = time.monotonic() + _KILL_SECONDS
            pass_on(signal.SIGTERM, None)
        if time.monotonic() > kill_at:
            for process in processes:
                process.kill()
    codes = [process.returncode for process in processes]
    log.note("processes ended", exit_codes=codes)
    worst = max(codes, key=severity)
    return worst if severity(worst) != severity(JobError.exit_code) else JobError.exit_code


@dataclass(slots=True)
class Gang:
    """The world that this process has joined, and the watch over it."""

    world: World
    store: TCPStore
    lost: Callable[[PeerLost], None]  # tells the reason, before the process ends
    _left: threading.Event = field(default_factory=threading.Event)
    _answered: float = 0.0

    def watch(self) -> None:
        """End this process soon when another one is gone, whatever the main thread is waiting for."""
        self._answered = time.monotonic()
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=self._notice_silence, daemon=True).start()

    def leave(self) -> None:
        """Say goodbye when all is done; rank 0 stays until all have, because the meeting place goes with it."""
        self._left.set()
        try:
            if self.world.rank:
                self.store.add("goodbye", 1)
            _until(lambda: self.world.rank != 0 or self.store.add("goodbye", 0) == self.world.size - 1, _CALL_SECONDS)
        except RuntimeError as error:  # all is done
            log.note("log", level="info", logger=__name__, message=f"the gang ended early: {error}")

    def _beat(self) -> None:
        """Tell rank 0 that this process lives; as rank 0, look whether the others do."""
        names = [f"beat/{rank}" for rank in range(self.world.size)]
        seen: dict[str, tuple[bytes, float]] = {}
        try:
            store = _connect(self.world)  # its own connection: torch may block the other one for minutes
            for name in names:
                store.add(name, 0)
            while not self._left.wait(_BEAT_SECONDS):
                store.add(names[self.world.rank], 1)
                self._answered = now = time.monotonic()
                if self.world.rank:
                    continue
                if store.add("again", 0):
                    self._end("a Pod of the gang was replaced")
                for name, beat in zip(names, store.multi_get(names), strict=True):
                    if seen.get(name, (b"", 0))[0] != beat:
                        seen[name] = beat, now
                    elif now - seen[name][1] > _DEAD_SECONDS:
                        self._end(f"rank {name.rpartition('/')[2]} has been silent for {_DEAD_SECONDS:.0f} s")
        except RuntimeError as error:
            self._end(f"the process of rank 0 is gone: {str(error).splitlines()[0]}")

    def _notice_silence(self) -> None:
        while not self._left.wait(_BEAT_SECONDS):  # a node that is off does not even close its connections
            if time.monotonic() - self._answered > _DEAD_SECONDS:
                self._end(f"the process of rank 0 has been silent for {_DEAD_SECONDS:.0f} s")

    def _end(self, reason: str) -> None:
        if not self._left.wait(_OWN_END_SECONDS):
            end_now(lambda: self.lost(PeerLost(f"{reason}; {_GOES_ON}")), PEER_LOST)


@contextmanager
def peers_told() -> Iterator[None]:
    """Make PeerLost of what torch raises inside the block because another process is gone, and of nothing else."""
    try:
        yield
    except RuntimeError as error:
        from torch.distributed import DistNetworkError  # of the meeting place, which goes with rank 0

        reason = str(error)
        if not isinstance(error, DistNetworkError) and not any(words in reason for words in _GONE):
            raise
        raise PeerLost(f"another process of the gang is gone: {reason.splitlines()[0]}; {_GOES_ON}") from error


def join(*, backend: str, lost: Callable[[PeerLost], None]) -> Gang | None:
    """Meet all processes of the gang and initialise torch.distributed; None where there is no gang.

    Raises JobError when not all have come within 15 minutes. Python answers SIGTERM all the while.
    """
    host, _, port = os.environ.get(MASTER_VARIABLE, "").rpartition(":")
    if not host or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    import torch.distributed

    rank, size, local_rank, local_size = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    world = World(rank, size, local_rank, local_size, host, int(port))
    started = time.monotonic()
    gang = Gang(world, _meet(world), lost)
    log.note("met", rank=rank, processes=size, seconds=round(time.monotonic() - started, 1))
    gang.watch()
    store = torch.distributed.PrefixStore("torch", gang.store)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_HANGING)
    return gang


def _meet(world: World) -> TCPStore:
    """The store at which all processes have met, each alive and none of an earlier attempt."""
    until = time.monotonic() + _PATIENCE_SECONDS
    store: TCPStore | None = None
    while True:
        try:
            store = _connect(world, serving=world.rank == 0)
            _gather(store, world, until)
            store.set_timeout(_HANGING)  # what torch itself asks of it may wait for the slowest
            return store
        except (OSError, RuntimeError, _NotYet) as error:  # no name yet, nobody there yet, or gone again
            if time.monotonic() > until:
                raise JobError(
                    f"the {world.size} processes of the gang did not all come to {world.host}:{world.port} within "
                    f"{_PATIENCE_SECONDS:.0f} s ({str(error).splitlines()[0]}); a retry waits again. Are all Pods "
                    "running, and does the network let them reach each other?"
                ) from error
            log.note("waiting for the gang", rank=world.rank, reason=str(error).splitlines()[0])
        store = None  # as rank 0: closes the meeting place, so that all come to the new one
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
        _until(lambda: store.check(["call"]), until - time.monotonic())
        store.add("present", 1)
        if not _until(lambda: store.check(["go"]), 2 * _CALL_SECONDS):
            raise _NotYet("rank 0 called and did not go on")
        return

    def all_here() -> bool:
        nonlocal joined
        if store.add("again", 0):
            raise _NotYet("a process was replaced while the others waited")
        joined = store.add("joined", 0)
        return joined == world.size

    if not _until(all_here, until - time.monotonic()):
        raise _NotYet(f"{joined} of {world.size} are here")
    store.set("call", "")
    if not _until(lambda: store.add("present", 0) == world.size - 1, _CALL_SECONDS):
        raise _NotYet("one that had come does not answer any more")
    store.set("go", "")


def _connect(world: World, *, serving: bool = False) -> TCPStore:
    """A connection to the meeting place; raises OSError or RuntimeError when there is none."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    # Rank 0 goes by localhost: a Pod's own name does not resolve in its first seconds.
    host = "localhost" if world.rank == 0 else world.host
    if not serving:  # in Python, where a signal is answered, unlike in torch's waiting for a server
        socket.create_connection((host, world.port), timeout=_CALL_SECONDS).close()
    timeout = timedelta(seconds=_CALL_SECONDS)
    return TCPStore(host, world.port, None, serving, timeout, wait_for_workers=False)


def _until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it is done within so many seconds."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])
