"""Starts the processes of one Pod's part of a gang, and answers for them with one exit code.

Not torchrun: its exit code is 1 whatever a worker ended with, which would make bad data and bad configuration into
retries, and its rendezvous counts restarts inside a Pod, where a Job replaces Pods. Of what it does, this needs little.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from jobs.errors import PEER_LOST, I2PError, severity
from jobs.runtime import log
from jobs.runtime.environment import ATTEMPT_VARIABLE, END_WITH_PARENT_VARIABLE, MASTER_VARIABLE
from jobs.runtime.gang.membership import OWN_END_SECONDS
from jobs.runtime.gang.world import World
from jobs.runtime.stopping import asked_early

_ALL_END_SECONDS = OWN_END_SECONDS + 15  # for the other processes of a Pod, when one ended for a loss in another Pod
_KILL_SECONDS = 60.0  # after the others were asked to stop; they may be uploading a checkpoint


def launch(worlds: Sequence[World], attempt: str) -> int:
    """Run this program once for each position and return the most severe of the exit codes.

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
        env = {
            **os.environ,
            **world.variables(),
            ATTEMPT_VARIABLE: name,
            END_WITH_PARENT_VARIABLE: "1",
            MASTER_VARIABLE: f"{world.host}:{world.port}",
        }
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
    return worst if severity(worst) != severity(I2PError.exit_code) else I2PError.exit_code
