"""Proves of a bucket what only stores of S3 promise: conditions on uploads in parts, ETags that agree, and ranges."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from jobs.errors import NotFound
from jobs.shards.digests import sha256
from jobs.shards.s3_errors import Busy, Unmet, translate_boto_errors
from jobs.shards.s3_parts import DIGEST, begin_upload, complete, put_parts
from jobs.shards.store import Store
from jobs.shards.store_checks import ADVICE, WRITERS, Failed

_ROUNDS = 8  # a server that lets two win in every second round (SeaweedFS 4.48 does) passes one time in 256


class Bucket(Store, Protocol):
    """A store of S3, as far as these checks look below what every store does."""

    @property
    def client(self) -> Any:
        """The boto3 client of this process."""

    def target(self, name: str) -> dict[str, str]:
        """How boto3 wants an object to be named."""


def checks_of(store: Bucket, *, quick: bool) -> Sequence[tuple[str, Callable[[], str]]]:
    """As `Store.own_checks`, in a store that nobody else uses."""
    checks: list[tuple[str, Callable[[Bucket], str]]] = [("one version, whatever the request", _versions_agree)]
    if not quick:
        checks += [
            ("create only if absent, in parts", _creates_once_in_parts),
            ("replace only if unchanged, in parts", _replaces_once_in_parts),
            ("resume a download", _resumes),
            ("digest kept with the object", _keeps_digest),
        ]
    return [(name, _asked(check, store)) for name, check in checks]


def _asked(check: Callable[[Bucket], str], store: Bucket) -> Callable[[], str]:
    def ask() -> str:
        with translate_boto_errors(store.url):
            return check(store)

    return ask


def _versions_agree(store: Bucket) -> str:
    store.create("versions/one", b"x")
    (listed,) = store.list("versions/")
    versions = {listed.version, store.version("versions/one"), store.read("versions/one").version}
    if len(versions) != 1:
        raise Failed(
            f"a listing, HEAD and GET give different ETags of {store.url}/versions/one: {versions}; what is "
            f"planned by one would never be found by the others; {ADVICE}"
        )
    return "a listing, HEAD and GET give the same ETag"


def _creates_once_in_parts(store: Bucket) -> str:
    for number in range(_ROUNDS):
        _one_upload_wins(store, f"parts/{number}")
    return (
        f"of {WRITERS} uploads completed at once exactly one won, {_ROUNDS} times: large objects are created only "
        "once, too"
    )


def _one_upload_wins(store: Bucket, name: str) -> None:
    uploads = [_Upload(store, name, f"writer {number}".encode()) for number in range(WRITERS)]
    together = threading.Barrier(WRITERS)

    def complete(upload: _Upload) -> bool:
        together.wait()
        return upload.complete(IfNoneMatch="*")

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [upload for upload, true in zip(uploads, pool.map(complete, uploads), strict=True) if true]
    if len(won) != 1:
        raise Failed(
            f"of {WRITERS} uploads in parts of {store.url}/{name} {len(won)} were completed, not one; {ADVICE}"
        )
    if store.read(name).data != won[0].body:
        raise Failed(f"{store.url}/{name} does not hold what its only winner uploaded; {ADVICE}")


def _replaces_once_in_parts(store: Bucket) -> str:
    store.create("repaired", b"before")
    version = store.version("repaired")
    store.replace("repaired", b"between", version=version)
    if _Upload(store, "repaired", b"late").complete(IfMatch=version):
        raise Failed(f"an upload in parts replaced {store.url}/repaired although it had changed; {ADVICE}")
    if not _Upload(store, "repaired", b"after").complete(IfMatch=store.version("repaired")):
        raise Failed(f"an upload in parts could not replace {store.url}/repaired although it had not changed; {ADVICE}")
    return "a late upload was refused, one in time was not: a large damaged object can be repaired"


def _resumes(store: Bucket) -> str:
    store.create("ranged", b"0123456789")
    version = store.version("ranged")
    reply = store.client.get_object(**store.target("ranged"), Range="bytes=4-", IfMatch=version)
    if reply["Body"].read() != b"456789":
        raise Failed(f"asked for {store.url}/ranged from byte 4 on, the server sent something else; {ADVICE}")
    store.replace("ranged", b"9876543210", version=version)
    try:
        with translate_boto_errors(f"{store.url}/ranged"):
            store.client.get_object(**store.target("ranged"), Range="bytes=4-", IfMatch=version)
    except Unmet:
        return "a part of an object is sent, unless it has changed: a broken download goes on and never mixes versions"
    raise Failed(f"a part of {store.url}/ranged was sent although the object had changed; {ADVICE}")


def _keeps_digest(store: Bucket) -> str:
    store.create("digest", b"some bytes")
    found = store.client.head_object(**store.target("digest"))["Metadata"].get(DIGEST)
    if found != sha256(b"some bytes"):
        raise Failed(
            f"the metadata of {store.url}/digest says {found!r} is its digest; uploads whose answer is lost "
            "are then settled by reading them back; a server that keeps metadata saves that"
        )
    return "an upload whose answer is lost is settled without reading it back"


class _Upload:
    """An upload in parts that lacks only its completion. One part is enough, and the last may be small."""

    def __init__(self, store: Bucket, name: str, body: bytes) -> None:
        self.store, self.body, self.where = store, body, f"{store.url}/{name}"
        with translate_boto_errors(self.where):
            self.upload = begin_upload(store.client, store.target(name), sha256(body))
            self.parts = put_parts(store.client, self.upload, io.BytesIO(body), len(body), len(body))

    def complete(self, **condition: str) -> bool:
        try:
            with translate_boto_errors(self.where):
                complete(self.store.client, self.upload, self.parts, **condition)
        except (Unmet, Busy, NotFound):
            return False
        return True
