"""Proves on the place itself that a store keeps what the commit protocol needs of it.

Some S3-compatible servers accept conditional requests and ignore the condition; two Pods of one index would then both
win. Nothing but trying tells.
"""

from __future__ import annotations

import io
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from jobs.errors import JobError, NotFound
from jobs.shards.digests import sha256
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.s3_errors import Busy, Unmet, errors_told
from jobs.shards.s3_parts import DIGEST, begin_upload, complete, put_parts
from jobs.shards.store import Store

_AnyStore = TypeVar("_AnyStore", bound=Store)
_WRITERS = 8
_ROUNDS = 4
_TELL = "commits are not safe here: use another server or bucket, or a newer version of the server"


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried; `detail` says what it proves, or what went wrong and what to do."""

    name: str
    ok: bool
    detail: str


class _Failed(JobError):
    """The store did something else than it must."""


def examine(store: Store) -> Iterator[Check]:
    """Try the store, in a folder of its own that is gone afterwards; takes seconds.

    Ends after the first check when nothing can be written at all.
    """
    room = _room(store)
    try:
        yield from _promises(room, _ROUNDS)
        if isinstance(room, S3Store):
            yield _outcome("create only if absent, in parts", _creates_once_in_parts, room)
            yield _outcome("replace only if unchanged, in parts", _replaces_once_in_parts, room)
            yield _outcome("resume a download", _resumes, room)
            yield _outcome("digest kept with the object", _keeps_digest, room)
    except _Useless:
        return
    finally:
        with suppress(JobError):  # a missing right to delete has been told by then
            _clean(room)


def prove_quickly(store: Store) -> list[Check]:
    """What commits rest on, tried once instead of again and again; takes a fraction of a second."""
    room, checks = _room(store), list[Check]()
    try:
        for check in _promises(room, rounds=1):
            checks.append(check)
    except _Useless:
        pass
    finally:
        with suppress(JobError):
            _clean(room)
    return checks


def _room(store: Store) -> Store:
    return store.at(f"doctor-{uuid.uuid4().hex[:12]}")


def _promises(room: Store, rounds: int) -> Iterator[Check]:
    rights = _outcome("read, write, list, delete", _rights, room)
    yield rights
    if not rights.ok:
        raise _Useless
    yield _outcome("create only if absent", partial(_creates_once, rounds=rounds), room)
    yield _outcome("replace only if unchanged", partial(_replaces_once, rounds=rounds), room)
    yield _outcome("listing shows what was just written", partial(_lists_at_once, count=2 * rounds), room)
    if isinstance(room, S3Store):
        yield _outcome("one version whoever tells it", _versions_agree, room)


class _Useless(Exception):
    """Nothing can be written, so nothing more can be tried."""


def _outcome(name: str, check: Callable[[_AnyStore], str], room: _AnyStore) -> Check:
    try:
        with errors_told(room.url):
            return Check(name, True, check(room))
    except JobError as error:
        return Check(name, False, str(error))


def _rights(room: Store) -> str:
    # Asked for first: then a missing bucket is told, which some servers make when they are written to.
    if room.stat("rights") or not room.create("rights", b"may write"):
        raise _Failed(f"{room.url}/rights was there before it was created; {_TELL}")
    if room.read("rights").data != b"may write" or room.open("rights").read() != b"may write":
        raise _Failed(f"{room.url}/rights does not hold what was written; {_TELL}")
    if [stat.name for stat in room.list("")] != ["rights"]:
        raise _Failed(f"a listing of {room.url} does not show what was written; grant the right to list, or: {_TELL}")
    room.delete("rights")
    if room.stat("rights"):
        raise _Failed(f"{room.url}/rights is still there after it was deleted; {_TELL}")
    return f"all four work in {room.url}"


def _creates_once(room: Store, *, rounds: int) -> str:
    for turn in range(rounds):
        name = f"created-{turn}"
        _one_wins(room, name, partial(room.create, name))
    return f"of {_WRITERS} writers at once exactly one won, {rounds} times: two workers of one unit cannot both commit"


def _replaces_once(room: Store, *, rounds: int) -> str:
    for turn in range(rounds):
        name = f"replaced-{turn}"
        room.create(name, b"before")
        version = room.version(name)
        _one_wins(room, name, partial(room.replace, name, version=version))
        if room.replace(name, b"late", version=version):
            raise _Failed(f"{room.url}/{name} was replaced although it had changed; {_TELL}")
    return "of writers that saw the same version exactly one won, and a late one was refused: no update gets lost"


def _one_wins(room: Store, name: str, write: Callable[[bytes], bool]) -> None:
    bodies = [f"writer {number} of {_WRITERS}".encode() for number in range(_WRITERS)]
    together = threading.Barrier(_WRITERS)

    def go(body: bytes) -> bool:
        together.wait()
        return write(body)

    with ThreadPoolExecutor(_WRITERS) as pool:
        won = [body for body, true in zip(bodies, pool.map(go, bodies), strict=True) if true]
    if len(won) != 1:
        raise _Failed(f"of {_WRITERS} writers of {room.url}/{name} at once {len(won)} won, not one; {_TELL}")
    if room.read(name).data != won[0]:
        raise _Failed(f"{room.url}/{name} does not hold what its only winner wrote; {_TELL}")


def _lists_at_once(room: Store, *, count: int) -> str:
    names = [f"listed/{number:02d}" for number in range(count)]
    for written, name in enumerate(names, 1):
        room.create(name, name.encode())
        found = [stat.name for stat in room.list("listed/")]
        if found != names[:written]:
            raise _Failed(f"after {name} was written a listing of {room.url} shows {found}; {_TELL}")
    return "every object was in the next listing, in order: what is committed is never taken for missing"


def _versions_agree(room: S3Store) -> str:
    room.create("versions/one", b"x")
    (listed,) = room.list("versions/")
    told = {listed.version, room.version("versions/one"), room.read("versions/one").version}
    if len(told) != 1:
        raise _Failed(f"a listing, HEAD and GET tell different ETags of {room.url}/versions/one: {told}; what is "
                      f"planned by one would never be found by the others; {_TELL}")  # fmt: skip
    return "a listing, HEAD and GET tell the same ETag"


def _creates_once_in_parts(room: S3Store) -> str:
    uploads = [_Upload(room, "parts", f"writer {number}".encode()) for number in range(_WRITERS)]
    together = threading.Barrier(_WRITERS)

    def complete(upload: _Upload) -> bool:
        together.wait()
        return upload.complete(IfNoneMatch="*")

    with ThreadPoolExecutor(_WRITERS) as pool:
        won = [upload for upload, true in zip(uploads, pool.map(complete, uploads), strict=True) if true]
    if len(won) != 1:
        raise _Failed(f"of {_WRITERS} uploads in parts of {room.url}/parts {len(won)} were completed, not one; {_TELL}")
    if room.read("parts").data != won[0].body:
        raise _Failed(f"{room.url}/parts does not hold what its only winner uploaded; {_TELL}")
    return f"of {_WRITERS} uploads completed at once exactly one won: large objects are created only once, too"


def _replaces_once_in_parts(room: S3Store) -> str:
    room.create("mended", b"before")
    version = room.version("mended")
    room.replace("mended", b"between", version=version)
    if _Upload(room, "mended", b"late").complete(IfMatch=version):
        raise _Failed(f"an upload in parts replaced {room.url}/mended although it had changed; {_TELL}")
    if not _Upload(room, "mended", b"after").complete(IfMatch=room.version("mended")):
        raise _Failed(f"an upload in parts could not replace {room.url}/mended although it had not changed; {_TELL}")
    return "a late upload was refused, one in time was not: a large damaged object can be mended"


def _resumes(room: S3Store) -> str:
    room.create("ranged", b"0123456789")
    version = room.version("ranged")
    reply = room.client.get_object(**room.target("ranged"), Range="bytes=4-", IfMatch=version)
    if reply["Body"].read() != b"456789":
        raise _Failed(f"asked for {room.url}/ranged from byte 4 on, the server sent something else; {_TELL}")
    room.replace("ranged", b"9876543210", version=version)
    try:
        with errors_told(f"{room.url}/ranged"):
            room.client.get_object(**room.target("ranged"), Range="bytes=4-", IfMatch=version)
    except Unmet:
        return "a part of an object is sent, unless it has changed: a broken download goes on and never mixes versions"
    raise _Failed(f"a part of {room.url}/ranged was sent although the object had changed; {_TELL}")


def _keeps_digest(room: S3Store) -> str:
    room.create("digest", b"some bytes")
    found = room.client.head_object(**room.target("digest"))["Metadata"].get(DIGEST)
    if found != sha256(b"some bytes"):
        raise _Failed(f"the metadata of {room.url}/digest says {found!r} is its digest; uploads whose answer is lost "
                      "are then settled by reading them back; a server that keeps metadata saves that")  # fmt: skip
    return "an upload whose answer is lost is settled without reading it back"


class _Upload:
    """An upload in parts that lacks only its completion. One part is enough, and the last may be small."""

    def __init__(self, room: S3Store, name: str, body: bytes) -> None:
        self.room, self.body, self.where = room, body, f"{room.url}/{name}"
        with errors_told(self.where):
            self.upload = begin_upload(room.client, room.target(name), sha256(body))
            self.parts = put_parts(room.client, self.upload, io.BytesIO(body), len(body), len(body))

    def complete(self, **condition: str) -> bool:
        try:
            with errors_told(self.where):
                complete(self.room.client, self.upload, self.parts, **condition)
        except (Unmet, Busy, NotFound):
            return False
        return True


def _clean(room: Store) -> None:
    for stat in room.list(""):
        room.delete(stat.name)
    if isinstance(room, S3Store):
        room.sweep(older_than_seconds=0)
    if isinstance(room, LocalStore):
        shutil.rmtree(room.root, ignore_errors=True)
