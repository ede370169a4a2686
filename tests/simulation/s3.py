"""An S3 bucket in memory, at the level of boto3's client: the project's own store works on it as on a real server.

Every request is a place where others may act. While faults are on, a request may fail before it is carried out, or its
answer may get lost. `watchers` hear of every change.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.world import World

_PAGE = 1_000
Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Object:
    """What is stored under a key."""

    body: bytes
    etag: str
    modified: float
    metadata: dict[str, str]


@dataclass(slots=True)
class Rules:
    """What a server promises; a wrong server breaks one."""

    if_none_match: bool = True
    if_match: bool = True
    lists_deleted_seconds: float = 0.0  # a listing shows what was there so long ago
    fails_once_in: int = 150  # requests


@dataclass
class Bucket:
    """The server's side."""

    world: World
    rules: Rules = field(default_factory=Rules)
    objects: dict[str, Object] = field(default_factory=dict)
    watchers: list[Callable[[str, str, Object | None], None]] = field(default_factory=list)  # (method, key, before)
    former: list[tuple[float, str, Object | None]] = field(default_factory=list)  # changes, where listings are stale

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> Object:
        """Store an object, whoever asks for it."""
        self._remember(key)
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        self.objects[key] = one = Object(body, etag, float(int(self.world.now)), metadata or {})
        return one

    def remove(self, key: str) -> None:
        """Delete an object, whoever asks for it."""
        self._remember(key)
        self.objects.pop(key, None)

    def listed(self) -> dict[str, Object]:
        """What a listing shows."""
        if not self.rules.lists_deleted_seconds:
            return self.objects
        found = dict(self.objects)
        for when, key, before in reversed(self.former):
            if when > self.world.now - self.rules.lists_deleted_seconds:
                found.pop(key, None)
                if before is not None:
                    found[key] = before
        return found

    def notify(self, method: str, key: str, before: Object | None) -> None:
        """Let the watchers know of a change that was asked for by name."""
        for watcher in self.watchers:
            watcher(method, key, before)

    def _remember(self, key: str) -> None:
        if self.rules.lists_deleted_seconds:
            self.former.append((self.world.now, key, self.objects.get(key)))


class Client:
    """What S3Store asks of boto3's client."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._world = bucket.world
        self.meta = SimpleNamespace(
            config=SimpleNamespace(request_checksum_calculation="when_required"), endpoint_url="https://s3.simulated"
        )

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,
        Metadata: dict[str, str] | None = None,
        IfNoneMatch: str | None = None,
        IfMatch: str | None = None,
        **_: Any,
    ) -> Reply:
        body = Body if isinstance(Body, bytes) else Body.read()

        def act() -> Reply:
            before = self._bucket.objects.get(Key)
            if IfNoneMatch and before and self._bucket.rules.if_none_match:
                raise _refused("PreconditionFailed", 412, "PutObject")
            if IfMatch and self._bucket.rules.if_match:
                if before is None:
                    raise _refused("NoSuchKey", 404, "PutObject")
                if before.etag != IfMatch:
                    raise _refused("PreconditionFailed", 412, "PutObject")
            one = self._bucket.put(Key, body, Metadata)
            self._bucket.notify("PUT", Key, before)
            return _reply(ETag=one.etag)

        return self._send(f"PUT {Key}", act)

    def get_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Range: str | None = None,
        IfMatch: str | None = None,
        **_: Any,
    ) -> Reply:
        def act() -> Reply:
            one = self._found(Key, "GetObject")
            if IfMatch and one.etag != IfMatch:
                raise _refused("PreconditionFailed", 412, "GetObject")
            start = int(Range.removeprefix("bytes=").removesuffix("-")) if Range else 0
            body = one.body[start:]
            more = {"ContentRange": f"bytes {start}-{len(one.body) - 1}/{len(one.body)}"} if Range else {}
            return _reply(
                206 if Range else 200,
                Body=_Body(body),
                ContentLength=len(body),
                ETag=one.etag,
                Metadata=dict(one.metadata),
                LastModified=_time(one),
                **more,
            )

        return self._send(f"GET {Key}", act)

    def head_object(self, *, Bucket: str, Key: str, **_: Any) -> Reply:
        def act() -> Reply:
            one = self._found(Key, "HeadObject")
            return _reply(
                ContentLength=len(one.body), ETag=one.etag, Metadata=dict(one.metadata), LastModified=_time(one)
            )

        return self._send(f"HEAD {Key}", act)

    def head_bucket(self, *, Bucket: str, **_: Any) -> Reply:
        return self._send("HEAD bucket", _reply)

    def delete_object(self, *, Bucket: str, Key: str, **_: Any) -> Reply:
        def act() -> Reply:
            before = self._bucket.objects.get(Key)
            self._bucket.remove(Key)
            if before is not None:
                self._bucket.notify("DELETE", Key, before)
            return _reply(204)

        return self._send(f"DELETE {Key}", act)

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str = "", ContinuationToken: str = "", Delimiter: str = "", **_: Any
    ) -> Reply:
        def act() -> Reply:
            objects = self._bucket.listed()
            if Delimiter:
                below = [key.removeprefix(Prefix) for key in objects if key.startswith(Prefix)]
                folders = sorted({f"{Prefix}{name.partition('/')[0]}/" for name in below if "/" in name})
                return _reply(Name=Bucket, CommonPrefixes=[{"Prefix": one} for one in folders], IsTruncated=False)
            keys = sorted(key for key in objects if key.startswith(Prefix) and key > ContinuationToken)
            page = keys[:_PAGE]
            more = {"NextContinuationToken": page[-1]} if len(keys) > _PAGE else {}
            contents = [
                {
                    "Key": key,
                    "Size": len(objects[key].body),
                    "ETag": objects[key].etag,
                    "LastModified": _time(objects[key]),
                }
                for key in page
            ]
            return _reply(
                Name=Bucket,
                Prefix=Prefix,
                KeyCount=len(page),
                MaxKeys=_PAGE,
                Contents=contents,
                IsTruncated=bool(more),
                **more,  # type: ignore[arg-type]
            )

        return self._send(f"LIST {Prefix}", act)

    def list_multipart_uploads(self, **_: Any) -> Reply:
        return _reply(IsTruncated=False)

    def _found(self, key: str, operation: str) -> Object:
        try:
            return self._bucket.objects[key]
        except KeyError:
            raise _refused("NoSuchKey" if operation == "GetObject" else "404", 404, operation) from None

    def _send(self, what: str, act: Callable[[], Reply]) -> Reply:
        self._world.call(what)
        if (
            not self._world.faults
            or self._world.acting is None
            or not self._world.choices.happens(self._bucket.rules.fails_once_in)
        ):
            return act()
        if self._world.choices.below(2):
            raise _refused("InternalError", 500, what.partition(" ")[0])
        act()
        raise ReadTimeoutError(endpoint_url="https://s3.simulated", error="the answer is lost")


class _Body(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size)


def _reply(status: int = 200, **values: Any) -> Reply:
    return {"ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0, "HTTPHeaders": {}}, **values}


def _refused(code: str, status: int, operation: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": code},
            "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 1, "HTTPHeaders": {}},
        },
        operation,
    )


def _time(one: Object) -> datetime:
    return datetime.fromtimestamp(one.modified, UTC)
