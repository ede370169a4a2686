"""A way to a real API server that may go dead or silent, and that counts what is asked of it.

It is not encrypted, so that requests can be seen, up to a `kubectl proxy` that does the rest as the administrator.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.relay import Relay

_REQUEST = re.compile(rb"^(GET|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    at: float  # time.monotonic()
    what: str  # method and target

    @property
    def watch(self) -> bool:
        return "watch=true" in self.what


class Wire(Relay):
    """Serves while it is entered. With `watches_silent` what the server sends to watches is lost, and no connection
    ends; all else goes through.
    """

    def __init__(self) -> None:
        super().__init__(("", 0))
        self.watches_silent = False
        self.asked: list[Asked] = []
        self.lost = 0  # bytes that watches did not get

    def __enter__(self) -> Wire:
        self._proxy = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout
        self.upstream = ("127.0.0.1", int(self._proxy.stdout.readline().rpartition(":")[2]))
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._proxy.kill()
        self._proxy.wait()

    def kubeconfig_in(self, folder: Path) -> str:
        """A kubeconfig that leads through here."""
        cluster = {"name": "wire", "cluster": {"server": f"http://{self.host}:{self.port}"}}
        context = {"name": "wire", "context": {"cluster": "wire", "user": "wire"}}
        path = folder / "wire.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [cluster],
                    "users": [{"name": "wire", "user": {}}],
                    "contexts": [context],
                    "current-context": "wire",
                }
            )
        )
        return str(path)

    @property
    def watching(self) -> bool:
        """Whether a watch was asked for so far."""
        return any(one.watch for one in self.asked)

    def tried_since(self, moment: float) -> int:
        """How many requests or refused connections there were since that time.monotonic()."""
        return sum(at >= moment for at in [*self.refused, *(one.at for one in self.asked)])

    def to_server(self, piece: bytes, connection: dict[str, Any]) -> bool:
        if found := _REQUEST.match(piece):
            connection["asked"] = Asked(time.monotonic(), b" ".join(found.groups()).decode())
            self.asked.append(connection["asked"])
        return True

    def to_client(self, piece: bytes, connection: dict[str, Any]) -> bool:
        silent = self.watches_silent and connection["asked"].watch
        self.lost += len(piece) if silent else 0
        return not silent
