"""A store that notes everything it is asked for and answers, for the history checker."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from jobs.errors import NotFound
from jobs.shards.s3 import S3Store
from jobs.shards.store import Body, ObjectStat
from tests.contract.linearizable import IMPOSSIBLE, Kind, Operation, Outcome, Value

_WRITES = {"PutObject", "DeleteObject", "CompleteMultipartUpload"}
_PLAINLY_REFUSED = range(400, 500)


@dataclass
class History:
    """What all clients did, in the order in which it ended."""

    operations: list[Operation] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)  # ETag -> digest of all that was ever written

    def digest(self, version: str | None) -> Value:
        """The digest of what has this version; nothing that was ever written has a version that is not known."""
        return self.contents.get((version or "").strip('"'), f"{IMPOSSIBLE} version {version}")


@dataclass
class _Noted:
    kind: Kind
    outcome: Outcome = "unknown"
    value: Value = None
    expected: Value = None


class Recorder:
    """An S3 store, each of whose threads is a client; stores below it note to one history, by names from the top."""

    def __init__(self, store: S3Store, history: History, prefix: str = "") -> None:
        self._store, self._history, self._prefix = store, history, prefix
        self._now = threading.local()
        if not prefix:
            store.client.meta.events.register("needs-retry.s3", self._after_request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def at(self, path: str) -> Recorder:
        below = Recorder(self._store.at(path), self._history, f"{self._prefix}{path}/")
        below._now = self._now
        return below

    @property
    def troubled(self) -> bool:
        """Whether a request of this thread's last operation may still arrive, or may have been carried out twice."""
        return bool(self._now.troubled)

    def read(self, name: str) -> Body:
        with self._noting("read", name) as noted:
            try:
                body = self._store.read(name)
            except NotFound:
                noted.outcome = "done"
                raise
            digest = hashlib.sha256(body.data).hexdigest()
            known = self._history.digest(body.version)
            noted.outcome, noted.value = "done", digest if known == digest else f"{digest} as {known}"
        return body

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name).data)

    def version(self, name: str) -> str:
        with self._noting("read", name) as noted:
            try:
                version = self._store.version(name)
            except NotFound:
                noted.outcome = "done"
                raise
            noted.outcome, noted.value = "done", self._history.digest(version)
        return version

    def stat(self, name: str) -> ObjectStat | None:
        with self._noting("there", name) as noted:
            found = self._store.stat(name)
            noted.kind, noted.outcome = "read" if found is None else "there", "done"
        return found

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        with self._noting("holds", name, value=sha256) as noted:
            found = self._store.holds(name, size=size, sha256=sha256)
            noted.outcome = "done" if found else "refused"
        return found

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        with self._noting("create", name, value=self._remember(body)) as noted:
            done = self._store.create(name, body)
            noted.outcome = "done" if done else "refused"
        return done

    def replace(self, name: str, body: bytes | BinaryIO, *, version: str) -> bool:
        value, expected = self._remember(body), self._history.digest(version)
        with self._noting("replace", name, value=value, expected=expected) as noted:
            done = self._store.replace(name, body, version=version)
            noted.outcome = "done" if done else "refused"
        return done

    def put(self, name: str, body: bytes) -> None:
        with self._noting("put", name, value=self._remember(body)) as noted:
            self._store.put(name, body)
            noted.outcome = "done"

    def delete(self, name: str) -> None:
        with self._noting("delete", name) as noted:
            self._store.delete(name)
            noted.outcome = "done"

    @contextmanager
    def _noting(self, kind: Kind, name: str, *, value: Value = None, expected: Value = None) -> Iterator[_Noted]:
        noted, self._now.troubled = _Noted(kind, value=value, expected=expected), 0
        began = time.monotonic()
        try:
            yield noted
        finally:
            self._history.operations.append(
                Operation(
                    client=threading.get_native_id(),
                    name=f"{self._prefix}{name}",
                    kind=noted.kind,
                    began=began,
                    ended=time.monotonic(),
                    outcome=noted.outcome,
                    value=noted.value,
                    expected=noted.expected,
                    troubled=self._now.troubled,
                )
            )

    def _after_request(self, response: Any = None, operation: Any = None, **_: Any) -> None:
        """Asked by boto3 after every request: a write without a plain answer may have been carried out."""
        plain = response is not None and (response[0].status_code in (200, 204, *_PLAINLY_REFUSED))
        if operation.name in _WRITES and not plain:
            self._now.troubled += 1

    def _remember(self, body: bytes | BinaryIO) -> str:
        """Note the bytes and what ETag they will have, which is how S3's servers make it."""
        data = body if isinstance(body, bytes) else (body.seek(0), body.read())[1]
        digest = hashlib.sha256(data).hexdigest()
        self._history.contents[_md5(data).hexdigest()] = digest
        size = self._store.part_size
        if len(data) > size:
            parts = [_md5(data[start : start + size]).digest() for start in range(0, len(data), size)]
            self._history.contents[f"{_md5(b''.join(parts)).hexdigest()}-{len(parts)}"] = digest
        return digest


def _md5(data: bytes) -> Any:
    return hashlib.md5(data, usedforsecurity=False)
