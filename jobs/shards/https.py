"""Files that a web server gives to everyone, by HTTPS; they can be read, not listed."""

from __future__ import annotations

import copy
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast
from urllib.parse import quote

from jobs.errors import BadConfiguration, BadData, NotFound
from jobs.shards.digests import digest_of, sha256_of_file
from jobs.shards.download import WebFile, ask_about, download
from jobs.shards.patience import Patience
from jobs.shards.store import Body, Downloads, ObjectStat, spool, spooling
from jobs.shards.web_address import Access, parsed

_BLOCK = 1 << 20
_NO_NAME = re.compile(r"[?#*]")
_AS_THEY_ARE = "/%:@!$&'()+,;=~"  # beside letters and digits: an address has its escapes already


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file that was downloaded because the server does not say what identifies its content."""

    file: BinaryIO
    size: int
    sha256: str


_kept: dict[str, _Kept] = {}  # by URL, as long as the process lasts: to be read by whoever asked for the digest


class HttpsFiles:
    """The files below a URL.

    A file's version is a digest of its address, size and strong ETag where the server gives one. Where it does not, it
    is the digest of the content, which is downloaded for that, once in a process.
    """

    def __init__(self, url: str, *, patience_seconds: float = 0.0, downloads: Downloads) -> None:
        parsed(url)
        self.url, self.downloads = url.rstrip("/"), downloads
        self._patience, self._access = Patience(patience_seconds), Access(downloads.private_hosts)

    def at(self, path: str) -> HttpsFiles:
        below = copy.copy(self)
        below.url = self._url(path)
        return below

    def read(self, name: str) -> Body:
        with self.open(name) as file:
            return Body(file.read(), self.version(name))

    def open(self, name: str) -> BinaryIO:
        found = self._ask_about(name)
        file = spool()
        with spooling():
            if _is_known(found):
                download(found, file, self._access, self.downloads, self._patience)
            else:
                for block in _blocks(self._whole(found)):
                    file.write(block)
            file.seek(0)
        return file

    def stat(self, name: str) -> ObjectStat | None:
        try:
            found = self._ask_about(name)
        except NotFound:
            return None
        if _is_known(found):
            return ObjectStat(name, found.size or 0, version=digest_of([found.url, found.size, found.etag]))
        whole = self._whole(found)
        return ObjectStat(name, whole.size, version=whole.sha256)

    def version(self, name: str) -> str:
        found = self.stat(name)
        if found is None:
            raise NotFound(f"{self.url}/{name} does not exist")
        return str(found.version)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        raise BadConfiguration(f"{self.url}: files behind https:// cannot be listed; name each one, without * and ?")

    def _ask_about(self, name: str) -> WebFile:
        return ask_about(self._url(name), self._access, self._patience)

    def _url(self, name: str) -> str:
        if not name or _NO_NAME.search(name):
            raise BadData(
                f"{self.url}/{name}: a file behind https:// is named by its path alone, without ?, # and *; write them "
                "as %3F, %23 and %2A where they stand in its name"
            )
        return f"{self.url}/{quote(name, safe=_AS_THEY_ARE, errors='replace')}"

    def _whole(self, found: WebFile) -> _Kept:
        if found.url not in _kept:
            with spooling():
                file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115, kept open
                download(found, file, self._access, self.downloads, self._patience)
                file.seek(0)
                digest = sha256_of_file(file)
                _kept[found.url] = _Kept(file, file.tell(), digest)
        return _kept[found.url]


def _is_known(found: WebFile) -> bool:
    """Whether the server says what identifies the content."""
    return found.etag is not None and found.size is not None


def _blocks(kept: _Kept) -> Iterator[bytes]:
    """The content; where the file stands is left alone, which threads and forked processes share."""
    for start in range(0, kept.size, _BLOCK):
        yield os.pread(kept.file.fileno(), _BLOCK, start)
