"""A process as a member of its gang: it joins, sends heartbeats, and ends when another member is gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.errors import PEER_LOST, PeerLost
from jobs.runtime import log
from jobs.runtime.environment import MASTER_VARIABLE
from jobs.runtime.gang.rendezvous import CALL_SECONDS, HANGING, connect, meet, until_true
from jobs.runtime.gang.world import World
from jobs.runtime.stopping import end_now

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

OWN_END_SECONDS = 20.0  # for the main thread to fail by itself, which says more

_BEAT_SECONDS = 2.0
_DEAD_SECONDS = 60.0  # without a heartbeat; serialising a large checkpoint may keep all threads waiting for some
_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")  # gloo, NCCL
_GOES_ON = "a retry goes on from the newest checkpoint"


@dataclass(slots=True)
class Gang:
    """The world that this process has joined, and the watch over it."""

    world: World
    store: TCPStore
    lost: Callable[[PeerLost], None]  # reports the reason, before the process ends
    _left: threading.Event = field(default_factory=threading.Event)
    _answered: float = 0.0

    def watch(self) -> None:
        """End this process soon when another one is gone, whatever the main thread is waiting for."""
        self._answered = time.monotonic()
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=self._notice_silence, daemon=True).start()

    def leave(self) -> None:
        """Leave when all is done; rank 0 stays until all have, because the TCPStore goes with it."""
        self._left.set()
        try:
            if self.world.rank:
                self.store.add("goodbye", 1)
            until_true(
                lambda: self.world.rank != 0 or self.store.add("goodbye", 0) == self.world.size - 1, CALL_SECONDS
            )
        except RuntimeError as error:  # all is done
            log.note("log", level="info", logger=__name__, message=f"the gang ended early: {error}")

    def _beat(self) -> None:
        """Send heartbeats to rank 0; as rank 0, look whether the others do."""
        names = [f"beat/{rank}" for rank in range(self.world.size)]
        seen: dict[str, tuple[bytes, float]] = {}
        try:
            store = connect(self.world)  # its own connection: torch may block the other one for minutes
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
        if not self._left.wait(OWN_END_SECONDS):
            end_now(lambda: self.lost(PeerLost(f"{reason}; {_GOES_ON}")), PEER_LOST)


@contextmanager
def translate_peer_errors() -> Iterator[None]:
    """Make PeerLost of what torch raises inside the block because another process is gone, and of nothing else."""
    try:
        yield
    except RuntimeError as error:
        from torch.distributed import DistNetworkError  # of the TCPStore, which goes with rank 0

        reason = str(error)
        if not isinstance(error, DistNetworkError) and not any(words in reason for words in _GONE):
            raise
        raise PeerLost(f"another process of the gang is gone: {reason.splitlines()[0]}; {_GOES_ON}") from error


def join(*, backend: str, lost: Callable[[PeerLost], None]) -> Gang | None:
    """Meet all processes of the gang and initialise torch.distributed; None where there is no gang.

    Raises I2PError when not all have come within 15 minutes. Python answers SIGTERM all the while.
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
    gang = Gang(world, meet(world), lost)
    log.note("met", rank=rank, processes=size, seconds=round(time.monotonic() - started, 1))
    gang.watch()
    store = torch.distributed.PrefixStore("torch", gang.store)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=HANGING)
    return gang
