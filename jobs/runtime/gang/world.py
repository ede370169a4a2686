"""The position of each process of a gang among all, as the controller's environment gives it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.errors import BadConfiguration
from jobs.runtime.environment import MASTER_VARIABLE, PROCESSES_VARIABLE


@dataclass(frozen=True, slots=True)
class World:
    """One process's position among all."""

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
    """The positions of the processes of one Pod; raises BadConfiguration when the variables are wrong."""
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
        raise BadConfiguration(
            f"several Pods that work together need {MASTER_VARIABLE}=HOST:PORT and perhaps "
            f"{PROCESSES_VARIABLE}, the processes of each: {error}"
        ) from error


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])
