"""The store in an S3 bucket, on conditional requests: If-None-Match creates, If-Match replaces and resumes.

Endpoint, region and credentials come from where every AWS tool reads them (AWS_ENDPOINT_URL, AWS_REGION, a profile,
a workload identity), never from the configuration of a run. Some S3-compatible servers refuse the checksums that
boto3 adds by default: AWS_REQUEST_CHECKSUM_CALCULATION=when_required turns them off.
"""

from __future__ import annotations

import copy
import hashlib
import io
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jobs.errors import BadConfiguration, NotFound, StoreError
from jobs.shards.digests import sha256
from jobs.shards.patience import Patience
from jobs.shards.s3_errors import Away, BrokenOff, Busy, Unclear, Unmet, broken_off_told, errors_told
from jobs.shards.store import Body, ObjectStat, checked, spool, spooling

_TRIES = 10  # without progress, full-jitter waits in between: about 20 seconds
_READ_BLOCK = 1 << 20
_PARTS_AT_ONCE = 4  # so many parts are in memory
_MOST_PARTS = 10_000
_PARTIAL = 206
DIGEST = "sha256"  # user metadata: settles an ambiguous upload without reading the object back
_DAY = 86_400.0


class S3Store:
    """Objects of one bucket below one prefix. Threads may share one, and forked or spawned processes too.

    A larger object than `part_size`, in bytes, goes up in parts; S3 wants them to have 5 MiB at least. An operation
    that fails because the service is away is tried again for `patience_seconds` before its error is raised. Raises
    BadConfiguration when the AWS settings of this machine cannot be used.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, part_size: int = 16 << 20, timeout_seconds: float = 60,
        patience_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self.bucket, self.prefix, self.part_size, self.timeout_seconds = bucket, prefix, part_size, timeout_seconds
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._patience = Patience(patience_seconds)
        self._clients: dict[int, Any] = {}
        _ = self.client  # so that wrong settings show at once

    @property
    def client(self) -> Any:
        """The boto3 client of this process: connections must not be shared with a parent that forked."""
        if os.getpid() not in self._clients:
            config = Config(
                retries={"mode": "standard", "total_max_attempts": _TRIES},
                connect_timeout=min(10, self.timeout_seconds),
                read_timeout=self.timeout_seconds,
                max_pool_connections=4 * _PARTS_AT_ONCE,
                tcp_keepalive=True,
            )
            try:
                self._clients[os.getpid()] = boto3.session.Session().client("s3", config=config)
            except (BotoCoreError, ValueError) as error:
                raise BadConfiguration(f"{self.url}: {error}; correct the AWS settings of this machine") from error
        return self._clients[os.getpid()]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    def at(self, path: str) -> S3Store:
        below = copy.copy(self)
        below._clients = self._clients  # the costly part
        below.prefix = self._key(checked(path))
        below.url = f"{self.url}/{path}"
        return below

    def without_patience(self) -> S3Store:
        """The same store, whose operations raise at once what the service does not do now."""
        impatient = copy.copy(self)
        impatient._clients, impatient._patience = self._clients, Patience(0.0)
        return impatient

    def read(self, name: str) -> Body:
        data = io.BytesIO()
        version = self._download(name, data)
        return Body(data.getvalue(), version)

    def open(self, name: str) -> BinaryIO:
        file = spool()
        with spooling():
            self._download(name, file)
            file.seek(0)
        return file

    def stat(self, name: str) -> ObjectStat | None:
        head = self._head(name)
        if head is None:
            return None
        return ObjectStat(name, head["ContentLength"], modified=_unix(head.get("LastModified")))

    def version(self, name: str) -> str:
        head = self._head(name)
        if head is None:
            raise NotFound(f"{self.url}/{name} does not exist")
        return str(head["ETag"])

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        head = self._head(name)
        return head is not None and self._is(name, head, size, sha256)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        ask = partial(self.client.list_objects_v2, Bucket=self.bucket, Prefix=self._key(prefix))
        for page in self._pages(f"{self.url}/{prefix}", ask, {"ContinuationToken": "NextContinuationToken"}):
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # consoles make such objects to show a folder
                    name = item["Key"][len(self._key("")) :]
                    yield ObjectStat(name, item["Size"], item.get("ETag"), _unix(item.get("LastModified")))

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        return self._write(name, body, IfNoneMatch="*")

    def replace(self, name: str, body: bytes | BinaryIO, *, version: str) -> bool:
        return self._write(name, body, IfMatch=version)

    def put(self, name: str, body: bytes) -> None:
        ask = partial(self.client.put_object, **self.target(name), Body=body, Metadata={DIGEST: sha256(body)})
        self._answer(f"{self.url}/{name}", ask)

    def delete(self, name: str) -> None:
        self._answer(f"{self.url}/{name}", partial(self.client.delete_object, **self.target(name)))

    def sweep(self, *, older_than_seconds: float = _DAY) -> None:
        """Abort the uploads in parts that were begun so long ago; younger ones may still be under way."""
        before = datetime.now(UTC).timestamp() - older_than_seconds
        ask = partial(self.client.list_multipart_uploads, Bucket=self.bucket, Prefix=self._key(""))
        going_on = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        for upload in [one for page in self._pages(self.url, ask, going_on) for one in page.get("Uploads", ())]:
            if upload["Initiated"].timestamp() <= before:
                target = {"Bucket": self.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                with suppress(NotFound):  # finished meanwhile
                    self._answer(self.url, partial(self.client.abort_multipart_upload, **target))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def target(self, name: str) -> dict[str, str]:
        """How boto3 wants to be told of an object."""
        return {"Bucket": self.bucket, "Key": self._key(checked(name))}

    def _head(self, name: str) -> dict[str, Any] | None:
        try:
            return self._answer(f"{self.url}/{name}", partial(self.client.head_object, **self.target(name)))
        except NotFound:
            return None

    def _answer(self, where: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A short reply to a request that may be sent any number of times."""
        tries = 0
        with self._patience.waiting(where) as wait:
            while True:
                try:
                    with errors_told(where):
                        return ask()
                except BrokenOff as error:
                    tries += 1
                    if tries < _TRIES:
                        _pause(tries)
                        continue
                    last: Away = BrokenOff(f"{where}: the reply broke off {_TRIES} times, at last by: {error}")
                except Away as error:
                    last = error
                tries = 0
                wait.out(last)

    def _pages(
        self, where: str, ask: Callable[..., dict[str, Any]], going_on: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        """All pages of a listing; `going_on` names where the next request's markers stand in the last reply."""
        page = self._answer(where, ask)
        yield page
        while page.get("IsTruncated"):
            page = self._answer(where, partial(ask, **{marker: page[place] for marker, place in going_on.items()}))
            yield page

    def _is(self, name: str, head: dict[str, Any], size: int, digest: str) -> bool:
        if head["ContentLength"] != size:
            return False
        if DIGEST in head["Metadata"]:
            return bool(head["Metadata"][DIGEST] == digest)
        with self.open(name) as file:
            return _digest(file) == digest

    def _write(self, name: str, body: bytes | BinaryIO, **condition: str) -> bool:
        """Write on a condition. Whatever was not plainly done is settled by what is there now."""
        file = io.BytesIO(body) if isinstance(body, bytes) else body
        size, digest, creating = file.seek(0, io.SEEK_END), _digest(file), "IfNoneMatch" in condition
        in_parts = size > self.part_size
        if in_parts and creating and (head := self._head(name)):  # else it would all go up only to be refused
            return self._is(name, head, size, digest)
        put = partial(self._put_in_parts if in_parts else self._put, name, file, size, digest, condition)
        perhaps_done, tries = creating, 0
        with self._patience.waiting(f"{self.url}/{name}") as wait:
            while True:
                try:
                    with errors_told(f"{self.url}/{name}"):
                        put()
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
                elif tries == _TRIES:
                    wait.out(Busy(f"{self.url}/{name}: other writers were in the way {_TRIES} times; try again"))
                    tries = 0
                else:
                    _pause(tries)

    def _put(self, name: str, file: BinaryIO, _size: int, digest: str, condition: dict[str, str]) -> None:
        file.seek(0)
        self.client.put_object(**self.target(name), Body=file, Metadata={DIGEST: digest}, **condition)

    def _put_in_parts(self, name: str, file: BinaryIO, size: int, digest: str, condition: dict[str, str]) -> None:
        upload = begin_upload(self.client, self.target(name), digest)
        try:
            parts = put_parts(self.client, upload, file, size, max(self.part_size, -(-size // _MOST_PARTS)))
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            with suppress(ClientError, BotoCoreError):  # the first error is the one to tell; `sweep` clears the rest
                self.client.abort_multipart_upload(**upload)
            raise

    def _download(self, name: str, into: BinaryIO) -> str:
        """Download into a file, going on where a broken connection left off; returns the version that was read."""
        where, tries = f"{self.url}/{name}", 0
        version, size, furthest = "", -1, 0  # not told yet
        with self._patience.waiting(where) as wait:
            while True:
                start = into.tell()
                try:
                    with errors_told(where):
                        going_on = {"Range": f"bytes={start}-", "IfMatch": version} if start else {}
                        reply = self.client.get_object(**self.target(name), **going_on)
                    if start and (reply["ETag"] != version or reply["ResponseMetadata"]["HTTPStatusCode"] != _PARTIAL):
                        raise Unmet(f"{where}: the server sent another part or version than was asked for")
                    version, size = str(reply["ETag"]), start + int(reply["ContentLength"])
                    _copy(reply["Body"], into, where)
                    return version
                except Unmet as error:  # replaced since the download began, or damaged on its way
                    last: StoreError = error
                    into.seek(0)
                    into.truncate()
                except BrokenOff as error:
                    last = error
                    if size == into.tell():
                        return version
                except Unclear as error:
                    wait.out(error)
                    continue
                if into.tell() > furthest:
                    furthest, tries = into.tell(), 0
                    wait.end()
                tries += 1
                if tries > _TRIES:
                    message = f"{where}: the download broke off {_TRIES} times, at last by: {last}"
                    if isinstance(last, Unmet):
                        raise StoreError(message)
                    wait.out(BrokenOff(message))
                    tries = 0
                _pause(tries)


def begin_upload(client: Any, target: dict[str, str], digest: str) -> dict[str, str]:
    """Begin an upload in parts; returns the target with the upload's id."""
    checks = client.meta.config.request_checksum_calculation == "when_supported"
    algorithm = {"ChecksumAlgorithm": "CRC32"} if checks else {}  # what boto3 then computes of every part
    reply = client.create_multipart_upload(**target, Metadata={DIGEST: digest}, **algorithm)
    return {**target, "UploadId": reply["UploadId"]}


def put_parts(client: Any, upload: dict[str, str], file: BinaryIO, size: int, part_size: int) -> list[dict[str, Any]]:
    """Upload the file's parts, a few at once; returns what completing wants to know of each."""
    reading = threading.Lock()

    def put(number: int) -> dict[str, Any]:
        with reading:
            file.seek((number - 1) * part_size)
            body = file.read(part_size)
        reply = client.upload_part(**upload, PartNumber=number, Body=body)
        return {"PartNumber": number, **{name: reply[name] for name in ("ETag", "ChecksumCRC32") if name in reply}}

    pool = ThreadPoolExecutor(_PARTS_AT_ONCE)
    try:
        return list(pool.map(put, range(1, -(-size // part_size) + 1)))
    finally:
        pool.shutdown(cancel_futures=True)


def _copy(body: Any, into: BinaryIO, where: str) -> None:
    with closing(body), broken_off_told(where):
        while block := body.read(_READ_BLOCK):
            into.write(block)


def _unix(time_: datetime | None) -> float | None:
    return None if time_ is None else time_.timestamp()


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _pause(tries: int) -> None:
    time.sleep(random.uniform(0, min(0.1 * 2**tries, 10)))  # noqa: S311, only to keep writers apart
