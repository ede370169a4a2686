"""The store's protocol on a bucket in memory, without the client of S3: twice as fast, so most schedules use it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from jobs.errors import NotFound, StoreAway
from jobs.shards.digests import sha256
from jobs.shards.store import Body, ObjectStat, part
from tests.simulation.s3 import Bucket, Object


class MemoryStore:
    """Objects of a bucket below a prefix; every call is a place where others may act."""

    endpoint = "local"

    def __init__(self, bucket: Bucket, prefix: str = "", url: str = "s3://simulated") -> None:
        self._bucket, self._prefix, self.url = bucket, prefix, url
        self._world = bucket.world

    def at(self, path: str) -> MemoryStore:
        return MemoryStore(self._bucket, f"{self._prefix}{path}/", f"{self.url}/{path}")

    def read(self, name: str) -> Body:
        one = self._get("GET", name)
        if one is None:
            raise NotFound(f"{self.url}/{name} does not exist")
        return Body(one.body, one.etag)

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name).data)

    def read_part(self, name: str, start: int, size: int) -> bytes:
        return part(self.read(name).data[start : start + size], size, f"{self.url}/{name}")

    def stat(self, name: str) -> ObjectStat | None:
        one = self._get("HEAD", name)
        return None if one is None else ObjectStat(name, len(one.body), modified=one.modified)

    def version(self, name: str) -> str:
        one = self._get("HEAD", name)
        if one is None:
            raise NotFound(f"{self.url}/{name} does not exist")
        return one.etag

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        one = self._get("HEAD", name)
        return one is not None and len(one.body) == size and _digest(one.body) == sha256

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        self._call("LIST", prefix)
        objects, begin, cut = self._bucket.listed(), self._prefix + prefix, len(self._prefix)
        return iter(
            [
                ObjectStat(key[cut:], len(objects[key].body), objects[key].etag, objects[key].modified)
                for key in sorted(key for key in objects if key.startswith(begin))
            ]
        )

    def folders(self) -> Sequence[str]:
        self._call("LIST", "")
        names = [key.removeprefix(self._prefix) for key in self._bucket.listed() if key.startswith(self._prefix)]
        return sorted({name.partition("/")[0] for name in names if "/" in name})

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        return self._write(name, _bytes(body), None)

    def replace(self, name: str, body: bytes | BinaryIO, *, version: str) -> bool:
        return self._write(name, _bytes(body), version)

    def put(self, name: str, body: bytes) -> None:
        self._call("PUT", name)
        self._store(name, body)

    def delete(self, name: str) -> None:
        self._call("DELETE", name)
        key = self._prefix + name
        before = self._bucket.objects.get(key)
        self._bucket.remove(key)
        if before is not None:
            self._bucket.notify("DELETE", key, before)

    def sweep(self) -> None:
        pass

    def clear(self) -> None:
        for stat in self.list(""):
            self.delete(stat.name)

    def without_patience(self) -> MemoryStore:
        return self

    def own_checks(self, *, quick: bool) -> Sequence[tuple[str, Callable[[], str]]]:
        return ()

    def _write(self, name: str, body: bytes, version: str | None) -> bool:
        """As the real store: whatever was not plainly done is settled by what is there."""
        lost = self._call("PUT", name)
        rules, before = self._bucket.rules, self._bucket.objects.get(self._prefix + name)
        if version is None:
            refused = before is not None and rules.if_none_match
        else:
            refused = rules.if_match and (before is None or before.etag != version)
        if not refused:
            self._store(name, body)
            if not lost:
                return True
        if lost or version is None:
            now = self._get("HEAD", name)
            return now is not None and now.body == body
        return False

    def _store(self, name: str, body: bytes) -> None:
        key = self._prefix + name
        before = self._bucket.objects.get(key)
        self._bucket.put(key, body)
        self._bucket.notify("PUT", key, before)

    def _get(self, method: str, name: str) -> Object | None:
        self._call(method, name)
        return self._bucket.objects.get(self._prefix + name)

    def _call(self, method: str, name: str) -> bool:
        """Whether the answer gets lost; raises StoreAway when the request does."""
        world = self._world
        world.call(f"{method} {self._prefix}{name}")
        if not world.faults or world.acting is None or not world.choices.happens(self._bucket.rules.fails_once_in):
            return False
        if world.choices.below(2) or method != "PUT":
            raise StoreAway(f"{method} {self.url}/{name}: the request is lost")
        return True


def _bytes(body: bytes | BinaryIO) -> bytes:
    if isinstance(body, bytes):
        return body
    body.seek(0)
    return body.read()


_digest = sha256
