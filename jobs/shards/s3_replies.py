"""What a reply of S3 must have: a proxy, a login page or another server that answers 200 is not believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from jobs.errors import StoreError
from jobs.shards.s3_errors import Garbled
from jobs.shards.store import ObjectStat

Reply = Mapping[str, Any]

_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]+"|[\x21\x23-\x7e]+')
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_OK, _NO_CONTENT, PARTIAL = 200, 204, 206
_MOST_EMPTY_PAGES = 1000  # in a row; S3 sends some where much was deleted
_HINT = "correct the endpoint if it is not one of S3, or what stands between it and this machine"


def etag_of(where: str, reply: Reply) -> str:
    """The version in the reply; raises Garbled where there is none."""
    etag = reply.get("ETag")
    if not isinstance(etag, str) or not _ETAG.fullmatch(etag):
        raise _garbled(where, f"an ETag is required, given {etag!r}")
    return etag


def length_of(where: str, reply: Reply) -> int:
    """The bytes of the object, or of the part of it, in the reply."""
    return _whole_number(where, "Content-Length", reply.get("ContentLength"))


def check_written(where: str, reply: Reply) -> None:
    """Raises Garbled unless the reply says that an object, or a part of one, was written."""
    check_done(where, reply)
    etag_of(where, reply)


def check_done(where: str, reply: Reply) -> None:
    """Raises Garbled where a page for people was sent instead of an answer."""
    about = reply.get("ResponseMetadata", {})
    kind = str(about.get("HTTPHeaders", {}).get("content-type", "")).lower()
    if about.get("HTTPStatusCode") not in (_OK, _NO_CONTENT) or kind.startswith("text/html"):
        raise _garbled(where, f"given status {about.get('HTTPStatusCode')} and {kind or 'no'} content")


def check_head(where: str, reply: Reply) -> None:
    """Raises Garbled unless the reply describes an object."""
    etag_of(where, reply)
    length_of(where, reply)
    if not isinstance(reply.get("Metadata"), Mapping):
        raise _garbled(where, "metadata are required")


def check_whole(where: str, reply: Reply) -> None:
    """Raises Garbled unless the reply is the beginning of a whole object."""
    etag_of(where, reply)
    length_of(where, reply)
    if reply.get("ContentRange") or reply["ResponseMetadata"]["HTTPStatusCode"] != _OK:
        raise _garbled(where, f"the whole object was asked for, given a part: {reply.get('ContentRange')!r}")


def check_part(where: str, reply: Reply, *, start: int) -> None:
    """Raises Garbled unless the reply is a part of an object from byte `start` on."""
    found = _RANGE.fullmatch(str(reply.get("ContentRange")))
    if reply["ResponseMetadata"]["HTTPStatusCode"] != PARTIAL or found is None or int(found[1]) != start:
        raise _garbled(where, f"the bytes from {start:,} on were asked for, given {reply.get('ContentRange')!r}")


def is_rest(reply: Reply, start: int, version: str) -> bool:
    """Whether the reply is the rest of an object, at this version, from byte `start` on."""
    found = _RANGE.fullmatch(str(reply.get("ContentRange")))
    return (
        reply["ResponseMetadata"]["HTTPStatusCode"] == PARTIAL
        and reply.get("ETag") == version
        and found is not None
        and int(found[1]) == start
        and int(found[2]) - start + 1 == reply.get("ContentLength")
        and found[3] in ("*", str(int(found[2]) + 1))
    )


def upload_id_of(where: str, reply: Reply) -> str:
    """The id of an upload in parts that was begun."""
    return _text(where, "UploadId", reply.get("UploadId"))


def check_page(where: str, reply: Reply) -> None:
    """Raises Garbled unless the reply is a page of a listing of objects, or of uploads."""
    if not isinstance(reply.get("IsTruncated"), bool) or not (reply.get("Name") or reply.get("Bucket")):
        raise _garbled(where, "a listing with the bucket's name and IsTruncated is required")


class Pages:
    """Where a listing goes on; raises StoreError where it would go on for ever."""

    def __init__(self, where: str, markers: Mapping[str, str]) -> None:
        self._where, self._markers = where, markers
        self._seen: set[tuple[str, ...]] = set()
        self._empty = 0

    def after(self, page: Reply, *, empty: bool) -> dict[str, str] | None:
        """What to ask for the next page, or None after the last."""
        if not page["IsTruncated"]:
            return None
        found = {marker: _text(self._where, member, page.get(member)) for marker, member in self._markers.items()}
        self._empty = self._empty + 1 if empty else 0
        if tuple(found.values()) in self._seen or self._empty > _MOST_EMPTY_PAGES:
            raise StoreError(f"{self._where}: the listing does not go on, its pages repeat or are all empty; {_HINT}")
        self._seen.add(tuple(found.values()))
        return found


class Listed:
    """Takes the objects out of the pages of a listing; raises StoreError for what was not asked for."""

    def __init__(self, where: str, root: str, prefix: str) -> None:
        self._where, self._root, self._prefix = where, root, prefix
        self._last = ""

    def stats(self, page: Reply) -> Iterator[ObjectStat]:
        """The objects of one page, by names below `root`, all of whose keys begin with `prefix`."""
        for item in page.get("Contents", ()):
            key = _text(self._where, "Key", item.get("Key"))
            if not key.startswith(self._prefix):
                raise StoreError(f"{self._where}: the listing holds {key!r}, which was not asked for; {_HINT}")
            if key <= self._last:
                raise StoreError(
                    f"{self._where}: the listing holds {key!r} after {self._last!r}; each once, in the "
                    f"order of UTF-8, is required; use another bucket or server, or: {_HINT}"
                )
            self._last = key
            size = _whole_number(f"{self._where}: {key}", "Size", item.get("Size"))
            if not key.endswith("/"):  # consoles make such objects to show a folder
                yield ObjectStat(key[len(self._root) :], size, item.get("ETag"), unix_time(item.get("LastModified")))


def folders_of(where: str, page: Reply, prefix: str) -> list[str]:
    """The names of the folders below a prefix on a page of a listing with a delimiter."""
    found = [_text(where, "Prefix", one.get("Prefix")) for one in page.get("CommonPrefixes", ())]
    for key in found:
        if not key.startswith(prefix) or not key.endswith("/"):
            raise StoreError(f"{where}: the listing holds {key!r}, which was not asked for; {_HINT}")
    return [name for key in found if (name := key[len(prefix) : -1])]


def uploads_of(where: str, page: Reply) -> list[tuple[str, str, float]]:
    """Key, id and Unix time of the uploads in parts on a page."""
    return [
        (_text(where, "Key", one.get("Key")), _text(where, "UploadId", one.get("UploadId")), began)
        for one in page.get("Uploads", ())
        if (began := unix_time(one.get("Initiated"))) is not None
    ]


def unix_time(value: object) -> float | None:
    """The time in a reply, where there is one."""
    return value.timestamp() if isinstance(value, datetime) else None


def _text(where: str, name: str, found: object) -> str:
    if not isinstance(found, str) or not found:
        raise _garbled(where, f"{name} is required, given {found!r}")
    return found


def _whole_number(where: str, name: str, found: object) -> int:
    if not isinstance(found, int) or found < 0:
        raise _garbled(where, f"{name} is required, given {found!r}")
    return found


def _garbled(where: str, what: str) -> Garbled:
    return Garbled(f"{where}: the answer is none of S3's: {what}; {_HINT}")
