"""The store in an S3 bucket, on conditional requests: If-None-Match creates, If-Match replaces and resumes.

Endpoint, region and credentials come from where every AWS tool reads them (AWS_ENDPOINT_URL, AWS_REGION, a profile,
a workload identity), never from the configuration of a run. Some S3-compatible servers refuse the checksums that
boto3 adds by default: AWS_REQUEST_CHECKSUM_CALCULATION=when_required turns them off.
"""

from __future__ import annotations

import copy
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from jobs.errors import NotFound, StoreError
from jobs.shards import s3_client
from jobs.shards.digests import sha256, sha256_of_file
from jobs.shards.patience import pause
from jobs.shards.s3_checks import checks_of
from jobs.shards.s3_client import Connection
from jobs.shards.s3_errors import Away, BrokenOff, Busy, Unclear, Unmet, translate_broken_off
from jobs.shards.s3_parts import DIGEST, put_in_parts
from jobs.shards.s3_replies import (
    Listed,
    check_done,
    check_part,
    check_whole,
    check_written,
    etag_of,
    folders_of,
    is_rest,
    length_of,
    unix_time,
    uploads_of,
)
from jobs.shards.store import Body, ObjectStat, checked, part, spool, spooling

_READ_BLOCK = 1 << 20
_SMALL = 1 << 20  # bytes; what is replaced by its version is smaller
_MD5 = re.compile('"[0-9a-f]{32}"')  # of an object that did not go up in parts
_DAY = 86_400.0


class S3Store:
    """Objects of one bucket below one prefix. Threads may share one, and forked or spawned processes too.

    A larger object than `part_size`, in bytes, goes up in parts; S3 wants them to have 5 MiB at least. An operation
    that fails because the service is away is tried again for `patience_seconds` before its error is raised. Raises
    BadConfiguration when the AWS settings of this machine cannot be used.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        part_size: int = 16 << 20,
        timeout_seconds: float = 60,
        patience_seconds: float = 0.0,
    ) -> None:
        self.bucket, self.prefix, self.part_size = bucket, prefix, part_size
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._connection = Connection(bucket, timeout_seconds=timeout_seconds, patience_seconds=patience_seconds)

    @property
    def client(self) -> Any:
        """The boto3 client of this process."""
        return self._connection.client

    @property
    def endpoint(self) -> str:
        parts = urlsplit(str(self.client.meta.endpoint_url))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    def at(self, path: str) -> S3Store:
        below = copy.copy(self)
        below.prefix = self._key(checked(path))
        below.url = f"{self.url}/{path}"
        return below

    def without_patience(self) -> S3Store:
        """The same store, whose operations raise at once what the service does not do now."""
        impatient = copy.copy(self)
        impatient._connection = self._connection.without_patience()
        return impatient

    def read(self, name: str) -> Body:
        seen: list[tuple[str, str]] = []
        while len(seen) <= s3_client.TRIES:
            file = io.BytesIO()
            version, noted = self._download(name, file)
            data = file.getvalue()
            digest, goes_with = sha256(data), self._goes_with(version, data)
            if (version, digest) in seen:
                self._connection.etags_are_md5 &= goes_with  # some servers make them otherwise, or encrypt
                return Body(data, version, digest)
            if noted in (None, digest) and goes_with:
                return Body(data, version, digest)
            # The bytes of one version under the ETag of another: seen of versitygw while the object was replaced, and
            # a replacement of that ETag would undo the other. What is so twice is no race but damage, as records show.
            seen.append((version, digest))
        raise StoreError(
            f"{self.url}/{name}: the server sent {len(seen)} times bytes that are not of the ETag with them"
        )

    def _goes_with(self, version: str, data: bytes) -> bool:
        """Whether a small object's ETag is that of the bytes, as far as can be known; large ones have records."""
        if not self._connection.etags_are_md5 or len(data) > _SMALL or not _MD5.fullmatch(version):
            return True
        return version.strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()

    def open(self, name: str) -> BinaryIO:
        file = spool()
        with spooling():
            self._download(name, file)
            file.seek(0)
        return file

    def read_part(self, name: str, start: int, size: int) -> bytes:
        where = f"{self.url}/{name}"
        ask, check = partial(self._part, name, start, size), partial(check_part, start=start)
        try:
            reply = self._connection.answer(where, ask, check)
        except Unmet:  # the object ends before `start`
            return part(b"", size, where)
        return part(reply["Data"], size, where)

    def stat(self, name: str) -> ObjectStat | None:
        head = self._head(name)
        if head is None:
            return None
        return ObjectStat(name, head["ContentLength"], modified=unix_time(head.get("LastModified")))

    def version(self, name: str) -> str:
        head = self._head(name)
        if head is None:
            raise NotFound(f"{self.url}/{name} does not exist")
        return str(head["ETag"])

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        head = self._head(name)
        return head is not None and self._is(name, head, size, sha256)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        where = f"{self.url}/{prefix}"
        ask = partial(self.client.list_objects_v2, Bucket=self.bucket, Prefix=self._key(prefix))
        listed = Listed(where, self._key(""), self._key(prefix))
        markers = {"ContinuationToken": "NextContinuationToken"}
        for page in self._connection.pages(where, ask, markers, "Contents"):
            yield from listed.stats(page)

    def folders(self) -> Sequence[str]:
        prefix = self._key("")
        ask = partial(self.client.list_objects_v2, Bucket=self.bucket, Prefix=prefix, Delimiter="/")
        markers = {"ContinuationToken": "NextContinuationToken"}
        pages = self._connection.pages(self.url, ask, markers, "CommonPrefixes")
        return sorted(name for page in pages for name in folders_of(self.url, page, prefix))

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        return self._write(name, body, IfNoneMatch="*")

    def replace(self, name: str, body: bytes | BinaryIO, *, version: str) -> bool:
        return self._write(name, body, IfMatch=version)

    def put(self, name: str, body: bytes) -> None:
        ask = partial(self.client.put_object, **self.target(name), Body=body, Metadata={DIGEST: sha256(body)})
        self._connection.answer(f"{self.url}/{name}", ask, check_written)

    def delete(self, name: str) -> None:
        ask = partial(self.client.delete_object, **self.target(name))
        self._connection.answer(f"{self.url}/{name}", ask, check_done)

    def sweep(self, *, older_than_seconds: float = _DAY) -> None:
        """Abort the uploads in parts that were begun so long ago; younger ones may still be under way."""
        before = datetime.now(UTC).timestamp() - older_than_seconds
        ask = partial(self.client.list_multipart_uploads, Bucket=self.bucket, Prefix=self._key(""))
        markers = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        pages = self._connection.pages(self.url, ask, markers, "Uploads")
        for key, upload, began in [one for page in pages for one in uploads_of(self.url, page)]:
            if began <= before:
                target = {"Bucket": self.bucket, "Key": key, "UploadId": upload}
                with suppress(NotFound):  # finished since
                    abort = partial(self.client.abort_multipart_upload, **target)
                    self._connection.answer(self.url, abort, check_done)

    def clear(self) -> None:
        for stat in self.list(""):
            self.delete(stat.name)
        self.sweep(older_than_seconds=0)

    def own_checks(self, *, quick: bool) -> Sequence[tuple[str, Callable[[], str]]]:
        return checks_of(self, quick=quick)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def target(self, name: str) -> dict[str, str]:
        """How boto3 wants an object to be named."""
        return {"Bucket": self.bucket, "Key": self._key(checked(name))}

    def _head(self, name: str) -> dict[str, Any] | None:
        return self._connection.head(f"{self.url}/{name}", self.target(name))

    def _is(self, name: str, head: dict[str, Any], size: int, digest: str) -> bool:
        if head["ContentLength"] != size:
            return False
        if DIGEST in head["Metadata"]:
            return bool(head["Metadata"][DIGEST] == digest)
        try:
            with self.open(name) as file:
                return _digest(file) == digest
        except NotFound:  # deleted since
            return False

    def _write(self, name: str, body: bytes | BinaryIO, **condition: str) -> bool:
        """Write on a condition. Whatever was not plainly done is settled by what is there now."""
        file = io.BytesIO(body) if isinstance(body, bytes) else body
        size, digest, creating = file.seek(0, io.SEEK_END), _digest(file), "IfNoneMatch" in condition
        in_parts = size > self.part_size
        if in_parts and creating and (head := self._head(name)):  # else it would all go up only to be refused
            return self._is(name, head, size, digest)
        where, tries_allowed = f"{self.url}/{name}", s3_client.TRIES
        perhaps_done, tries = creating, 0
        with self._connection.patience.waiting(where) as wait:
            while True:
                try:
                    with self._connection.translating_errors(where):
                        if in_parts:
                            put_in_parts(
                                self.client, self.target(name), file, size, digest, self.part_size, **condition
                            )
                        else:
                            self._put(name, file, digest, condition)
                    return True
                except (NotFound, Unmet, Away) as error:
                    failed = error
                head = self._head(name)
                # What an earlier request may have done stays possible, also when a later one is plainly refused.
                lost = failed.retried if isinstance(failed, Unmet | Busy) else in_parts or isinstance(failed, Away)
                perhaps_done = perhaps_done or lost
                if head and perhaps_done and self._is(name, head, size, digest):
                    return True
                if head if creating else not head or head["ETag"] != condition["IfMatch"] or isinstance(failed, Unmet):
                    return False
                tries += 1  # nobody else's is there, and ours is not: try again
                if isinstance(failed, Unclear):
                    wait.out(failed)
                elif tries == tries_allowed:
                    wait.out(Busy(f"{where}: other writers were in the way {tries} times; try again"))
                    tries = 0
                else:
                    pause(tries)

    def _put(self, name: str, file: BinaryIO, digest: str, condition: dict[str, str]) -> None:
        file.seek(0)
        reply = self.client.put_object(**self.target(name), Body=file, Metadata={DIGEST: digest}, **condition)
        check_written(f"{self.url}/{name}", reply)

    def _part(self, name: str, start: int, size: int) -> dict[str, Any]:
        reply: dict[str, Any] = self.client.get_object(**self.target(name), Range=f"bytes={start}-{start + size - 1}")
        data = io.BytesIO()
        _copy(reply["Body"], data, f"{self.url}/{name}")
        return {**reply, "Data": data.getvalue()}

    def _download(self, name: str, into: BinaryIO) -> tuple[str, str | None]:
        """Download into a file, going on where a broken connection left off.

        Returns the version that was read, and the digest that its writer noted.
        """
        where, tries = f"{self.url}/{name}", 0
        version, size, furthest, noted = "", -1, 0, None  # not known yet
        with self._connection.patience.waiting(where) as wait:
            while True:
                start = into.tell()
                try:
                    with self._connection.translating_errors(where):
                        going_on = {"Range": f"bytes={start}-", "IfMatch": version} if start else {}
                        reply = self.client.get_object(**self.target(name), **going_on)
                    if start and not is_rest(reply, start, version):
                        raise Unmet(f"{where}: the server sent another part or version than was asked for")
                    if not start:
                        check_whole(where, reply)
                    version, size = etag_of(where, reply), start + length_of(where, reply)
                    noted = reply.get("Metadata", {}).get(DIGEST)
                    _copy(reply["Body"], into, where)
                    return version, noted
                except Unmet as error:  # replaced since the download began, or damaged on its way
                    last: StoreError = error
                    into.seek(0)
                    into.truncate()
                except BrokenOff as error:
                    last = error
                    if size == into.tell():
                        return version, noted
                except Unclear as error:
                    wait.out(error)
                    continue
                if into.tell() > furthest:
                    furthest, tries = into.tell(), 0
                    wait.end()
                tries += 1
                if tries > s3_client.TRIES:
                    message = f"{where}: the download broke off {s3_client.TRIES} times, at last by: {last}"
                    if isinstance(last, Unmet):
                        raise StoreError(message)
                    wait.out(BrokenOff(message))
                    tries = 0
                pause(tries)


def _copy(body: Any, into: BinaryIO, where: str) -> None:
    with closing(body), translate_broken_off(where):
        while block := body.read(_READ_BLOCK):
            into.write(block)


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    return sha256_of_file(file)
