"""A way to a TCP server that goes dead and comes back. Nobody else's way to the server is touched."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Any

_BLOCK = 1 << 16


class Relay:
    """Passes every connection on while it is entered and not `refusing`; from `host`, on any port."""

    def __init__(self, upstream: tuple[str, int], host: str = "127.0.0.1") -> None:
        self.upstream, self.host = upstream, host
        self.refusing = False
        self.refused: list[float] = []  # time.monotonic() of connections that were reset

    def __enter__(self) -> Relay:
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._end(*self._open)

    def refuse(self) -> None:
        """Reset what is open and what comes."""
        self.refusing = True
        self._end(*self._open)

    def pass_on(self) -> None:
        """Let through again what comes from now on."""
        self.refusing = False

    def to_server(self, piece: bytes, connection: dict[str, Any]) -> bool:
        """Whether the server gets what the client sent; `connection` is a memory for this connection."""
        return True

    def to_client(self, piece: bytes, connection: dict[str, Any]) -> bool:
        """Whether the client gets what the server sent."""
        return True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                self.refused.append(time.monotonic())
                _close(client)
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self.upstream)
        self._open |= {client, server}
        connection: dict[str, Any] = {}
        threading.Thread(target=self._answers, args=(server, client, connection), daemon=True).start()
        with suppress(OSError):
            while piece := client.recv(_BLOCK):
                if self.to_server(piece, connection):
                    server.sendall(piece)
        self._end(client, server)

    def _answers(self, server: socket.socket, client: socket.socket, connection: dict[str, Any]) -> None:
        with suppress(OSError):
            while piece := server.recv(_BLOCK):
                if self.to_client(piece, connection):
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
