"""A web server of files that does what it is asked to, and what it should not: it cuts, lies, drips and redirects."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

from tests.fakes.http_server import HttpServer

CERTIFICATE = Path(__file__).with_name("web_server.pem")  # with its key; of localhost and public.example, until 2126
_FROM = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Page:
    """What is at a path."""

    body: bytes = b""
    etag: str | None = '"1"'
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    head_status: int = 200
    announced: int | None = -1  # Content-Length, None for none; -1 for the true one
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes of the body, one for each GET to come
    seconds_a_byte: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A request that came: its header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class WebServer:
    """Serves `pages`, {path: Page}, while it is entered; encrypted unless `plain`."""

    def __init__(self, *, plain: bool = False) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self._plain = plain

    def __enter__(self) -> Self:
        self._server = HttpServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": self}))
        if not self._plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """HOST:PORT."""
        return f"{'127.0.0.1' if self._plain else 'localhost'}:{self.port}"

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """SCHEME://HOST:PORT."""
        return f"{'http' if self._plain else 'https'}://{self.host}"

    def ranges(self, path: str = "") -> list[str | None]:
        """The Range of each GET so far of paths with this text."""
        return [one.headers.get("range") for one in self.asked if one.method == "GET" and path in one.path]

    def page(self, asked: Asked, body: bytes) -> Page:
        """What is answered to a request with this body."""
        return self.pages.get(asked.path.partition("?")[0], Page(status=404, head_status=404))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    web: WebServer

    def do_GET(self) -> None:
        asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        sent = self.rfile.read(int(asked.headers.get("content-length", 0)))
        self.web.asked.append(asked)
        page = self.web.page(asked, sent)
        status, body, headers = self._part(page, asked.headers)
        self.send_response(page.head_status if self.command == "HEAD" else status)
        announced = len(body) if page.announced == -1 else page.announced
        headers |= {} if announced is None else {"Content-Length": str(announced)}
        for name, value in {**headers, **page.headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            cut = page.cut_after.pop(0) if page.cut_after else len(body)
            self._send(body[:cut], page.seconds_a_byte)
        self.close_connection = True

    do_HEAD = do_POST = do_GET  # noqa: N815, names that http.server wants

    def log_message(self, *_: object) -> None:
        pass

    def _part(self, page: Page, asked: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of the whole or of the part that is asked for."""
        headers = {"ETag": page.etag} if page.etag else {}
        found = _FROM.fullmatch(asked.get("range", ""))
        if not (found and page.ranges and page.status == 200 and asked.get("if-range", page.etag) == page.etag):
            return page.status, page.body, headers
        size, first = len(page.body), int(found[1])
        if first >= size:
            return 416, b"", {**headers, "Content-Range": f"bytes */{size}"}
        body = page.body[first : int(found[2]) + 1 if found[2] else size]
        return 206, body, {**headers, "Content-Range": f"bytes {first}-{first + len(body) - 1}/{size}"}

    def _send(self, body: bytes, seconds_a_byte: float) -> None:
        with suppress(OSError):  # the other end may have gone
            if not seconds_a_byte:
                self.wfile.write(body)
            else:
                for one in body:
                    self.wfile.write(bytes([one]))
                    time.sleep(seconds_a_byte)
