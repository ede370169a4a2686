"""A file of a web server: what the server says of it, and its bytes, going on where a broken connection left off."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from urllib3 import BaseHTTPResponse

from jobs.errors import BadData, StoreAway, StoreError
from jobs.shards.patience import Patience
from jobs.shards.store import Downloads
from jobs.shards.web import blocks, check_status, persistently, reply_to
from jobs.shards.web_address import Access

_ANSWER_SECONDS = 60.0  # for what is not the file's bytes
_NO_HEAD = (400, 401, 403, 405, 501)  # of servers that answer GET alone, as where the URL is signed for it
_UNSATISFIABLE = 416
_PARTIAL = 206
_STRONG = re.compile(r'"[!#-~]*"')
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class WebFile:
    """What is known of a file: its size in bytes and its strong ETag, None where the server does not say it.

    Of a `pinned` one the content cannot change, and its digest is checked afterwards: parts of it go together without
    an ETag.
    """

    url: str
    size: int | None
    etag: str | None = None
    pinned: bool = False


def ask_about(url: str, access: Access, patience: Patience) -> WebFile:
    """What the server says of a file without sending it; raises NotFound, BadConfiguration, StoreAway, BadData."""
    return persistently(url, patience, partial(_ask_about, url, access))


def download(file: WebFile, into: BinaryIO, access: Access, downloads: Downloads, patience: Patience) -> None:
    """Download the file into an empty one; raises BadData where it is too large, StoreError where it takes too long,
    or the server sends something else than it said.
    """
    deadline = time.monotonic() + downloads.most_seconds
    check_size(file.url, file.size or 0, downloads)
    go_on = partial(_go_on, file, into, access, downloads, deadline)
    persistently(file.url, patience, go_on, into.tell)


def check_size(where: str, size: int, downloads: Downloads) -> None:
    """Raises BadData for a file that is too large."""
    if size > downloads.most_bytes:
        raise BadData(
            f"{where} has {size:,} bytes or more, at most {downloads.most_bytes:,} are downloaded; raise "
            "`limits.download_mib` of the source if that is right"
        )


def _ask_about(url: str, access: Access) -> WebFile:
    deadline = time.monotonic() + _ANSWER_SECONDS
    with reply_to("HEAD", url, {}, access, deadline) as reply:
        if reply.status not in _NO_HEAD:
            check_status(reply, url)
            return WebFile(url, _length(reply, url), _strong_etag(reply))
    with reply_to("GET", url, {"Range": "bytes=0-0"}, access, deadline) as reply:
        if reply.status == _UNSATISFIABLE:  # of an empty file, no byte can be asked for
            return WebFile(url, _range(reply)[1], _strong_etag(reply))
        check_status(reply, url)
        size = _range(reply)[1] if reply.status == _PARTIAL else _length(reply, url)
        return WebFile(url, size, _strong_etag(reply))


def _go_on(file: WebFile, into: BinaryIO, access: Access, downloads: Downloads, deadline: float) -> None:
    """Ask for what is missing, and write it as it comes; raises StoreAway when it breaks off."""
    if time.monotonic() >= deadline:
        raise StoreError(
            f"{file.url}: more than {downloads.most_seconds:g} s went by, and {into.tell():,} bytes are here; raise "
            "`limits.download_seconds` of the source if that is right"
        )
    if not (file.etag or file.pinned):
        _begin_again(into)
    start = into.tell()
    with reply_to("GET", file.url, _going_on(file, start), access, deadline) as reply:
        if start and not (reply.status == _PARTIAL and _range(reply)[0] == start):
            _begin_again(into)
            if reply.status in (_PARTIAL, _UNSATISFIABLE):
                raise StoreAway(f"{file.url}: the server sent another part than was asked for")
            start = 0
        check_status(reply, file.url)
        _check_same(file, reply, start)
        for block in blocks(reply, file.url):
            check_size(file.url, into.tell() + len(block), downloads)
            into.write(block)
    if file.size is not None and into.tell() != file.size:
        raise StoreAway(f"{file.url}: {file.size:,} bytes were announced, {into.tell():,} came")


def _going_on(file: WebFile, start: int) -> dict[str, str]:
    """The headers that ask for the rest of the file."""
    condition = {"If-Range": file.etag} if file.etag else {}
    return {"Range": f"bytes={start}-", **condition} if start else {}


def _check_same(file: WebFile, reply: BaseHTTPResponse, start: int) -> None:
    """Raises StoreError unless the reply is of the file that the server spoke of before."""
    length, etag = _length(reply, file.url), _strong_etag(reply)
    if file.size is not None and length is not None and start + length != file.size:
        raise StoreError(
            f"{file.url}: the server said that it has {file.size:,} bytes, and sends {start + length:,}; it changed, "
            "or the server is wrong"
        )
    if file.etag and etag != file.etag:
        raise StoreError(f"{file.url}: its ETag was {file.etag}, and is {etag} now; it changed, try again")


def _begin_again(into: BinaryIO) -> None:
    into.seek(0)
    into.truncate()


def _length(reply: BaseHTTPResponse, where: str) -> int | None:
    """Content-Length; raises BadData for content that is compressed for its way, which was not asked for."""
    encoding = reply.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise BadData(
            f"{where} comes with Content-Encoding {encoding!a}, which the server was asked not to use; download the "
            "file yourself"
        )
    found = _LENGTH.fullmatch(reply.headers.get("Content-Length", ""))
    return int(found[0]) if found else None


def _range(reply: BaseHTTPResponse) -> tuple[int | None, int | None]:
    """The first byte of the part that a reply has, and the size of the whole."""
    found = _RANGE.fullmatch(reply.headers.get("Content-Range", ""))
    first, size = found.groups() if found else (None, None)
    return (int(first) if first else None, int(size) if size and size != "*" else None)


def _strong_etag(reply: BaseHTTPResponse) -> str | None:
    etag = reply.headers.get("ETag", "").strip()
    return etag if _STRONG.fullmatch(etag) else None
