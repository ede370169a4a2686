"""An S3 server that answers as a test says, rightly or wrongly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.http_server import HttpServer

ETAG = '"0cc175b9c0f1b6a831c399e269772661"'
OBJECT = {"ETag": ETAG, "Last-Modified": "Wed, 25 Nov 2026 00:00:00 GMT", "Content-Length": "1"}


@dataclass(frozen=True)
class Reply:
    """Status, headers and body; a Content-Length is added where no header gives one, unless it is withheld."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    announced_length: bool = True


Script = Callable[[str, str], Reply]  # of method and path


def one_after_the_other(replies: Sequence[Reply]) -> Script:
    """The replies in order, the last one again and again; whether the bucket is there is asked beside."""
    left = list(replies)

    def script(method: str, path: str) -> Reply:
        if (method, path) == ("HEAD", "/bucket"):
            return Reply()
        return left.pop(0) if len(left) > 1 else left[0]

    return script


def xml(body: str, status: int = 200) -> Reply:
    """A reply in XML."""
    return Reply(status, {"Content-Type": "application/xml"}, f'<?xml version="1.0"?>{body}'.encode())


def refusal(status: int, code: str) -> Reply:
    """As S3 refuses."""
    return xml(f"<Error><Code>{code}</Code><Message>so</Message></Error>", status)


def listing(*keys: str, more: str = "", extra: str = "") -> Reply:
    """A page of a listing; `more` is the token by which it goes on, if it does."""
    items = "".join(f"<Contents><Key>{key}</Key><ETag>{ETAG}</ETag><Size>1</Size></Contents>" for key in keys)
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    truncated = str(bool(more)).lower()
    return xml(
        f"<ListBucketResult><Name>bucket</Name><IsTruncated>{truncated}</IsTruncated>{items}{token}{extra}"
        "</ListBucketResult>"
    )


HTML = Reply(200, {"Content-Type": "text/html"}, b"<html><body><p>Please sign in</p></body></html>")
FOUND = Reply(200, OBJECT, b"a")
WRITTEN = Reply(200, {"ETag": ETAG})
MISSING = refusal(404, "NoSuchKey")


@dataclass
class ScriptedS3:
    """Serves while it is entered; `asked` are the methods and paths of all requests."""

    script: Script
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> ScriptedS3:
        self._server = HttpServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: ScriptedS3

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.fake.asked.append((self.command, self.path))
        reply = self.fake.script(self.command, self.path)
        with suppress(OSError):
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.announced_length and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            if not reply.announced_length or reply.headers.get("Content-Length", str(len(reply.body))) != str(
                len(reply.body)
            ):
                self.send_header("Connection", "close")  # where the body ends
                self.close_connection = True
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815, names that http.server wants

    def log_message(self, *_: Any) -> None:
        pass
