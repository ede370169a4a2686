"""A way to a real API server that may go dead or silent, and that counts what is asked of it.

It is not encrypted, so that requests can be seen, up to a `kubectl proxy` that does the rest as the administrator.
Nobody else's way to the server is touched.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

_REQUEST = re.compile(rb"^(GET|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """An attempt to ask something: a request, or a connection that was refused."""

    at: float  # time.monotonic()
    what: str  # method and target; "" for a connection

    @property
    def watch(self) -> bool:
        return "watch=true" in self.what


@dataclass
class Wire:
    """Serves while it is entered. `state` may be changed at any time.

    refusing: every connection is reset. watches-silent: what the server sends to watches is lost, and no connection
    ends; all else goes through.
    """

    state: Literal["open", "refusing", "watches-silent"] = "open"
    asked: list[Asked] = field(default_factory=list)
    lost: int = 0  # bytes that watches did not get

    def __enter__(self) -> Wire:
        self._proxy = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout
        self._upstream = int(self._proxy.stdout.readline().rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for end in list(self._open):
            _close(end)
        self._proxy.kill()
        self._proxy.wait()

    def kubeconfig_in(self, folder: Path) -> str:
        """A kubeconfig that leads through here."""
        host, port = self._listener.getsockname()
        cluster = {"name": "wire", "cluster": {"server": f"http://{host}:{port}"}}
        context = {"name": "wire", "context": {"cluster": "wire", "user": "wire"}}
        path = folder / "wire.kubeconfig"
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [cluster],
                                        "users": [{"name": "wire", "user": {}}], "contexts": [context],
                                        "current-context": "wire"}))  # fmt: skip
        return str(path)

    def refuse(self) -> None:
        """Reset what is open and what comes."""
        self.state = "refusing"
        for end in list(self._open):
            _close(end)

    @property
    def watching(self) -> bool:
        """Whether a watch was asked for so far."""
        return any(one.watch for one in self.asked)

    def asked_since(self, moment: float) -> int:
        """How many attempts there were since that time.monotonic()."""
        return sum(one.at >= moment for one in self.asked)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.state == "refusing":
                self.asked.append(Asked(time.monotonic(), ""))
                _close(client)
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._upstream))
        self._open |= {client, server}
        current: dict[str, Any] = {}
        threading.Thread(target=self._answers, args=(server, client, current), daemon=True).start()
        with suppress(OSError):
            while piece := client.recv(_BLOCK):
                if found := _REQUEST.match(piece):
                    current["asked"] = Asked(time.monotonic(), b" ".join(found.groups()).decode())
                    self.asked.append(current["asked"])
                server.sendall(piece)
        self._end(client, server)

    def _answers(self, server: socket.socket, client: socket.socket, current: dict[str, Any]) -> None:
        with suppress(OSError):
            while piece := server.recv(_BLOCK):
                if self.state == "watches-silent" and current["asked"].watch:
                    self.lost += len(piece)
                else:
                    client.sendall(piece)
        self._end(client, server)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            self._open.discard(end)
            _close(end)


def _close(end: socket.socket) -> None:
    """With a reset, and waking the thread that reads."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
