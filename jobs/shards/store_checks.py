"""Proves on the place itself that a store keeps what the commit protocol needs of it.

Some S3-compatible servers accept conditional requests and ignore the condition; two Pods of one index would then both
win. Nothing but trying tells.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from jobs.errors import JobError
from jobs.shards.store import Store

WRITERS = 8  # at once
TELL = "commits are not safe here: use another server or bucket, or a newer version of the server"

_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried; `detail` says what it proves, or what went wrong and what to do."""

    name: str
    ok: bool
    detail: str


class Failed(JobError):
    """The store did something else than it must."""


def examine(store: Store) -> Iterator[Check]:
    """Try the store, in a folder of its own that is gone afterwards; takes seconds.

    Ends after the first check when nothing can be written at all.
    """
    room = _room(store)
    try:
        yield from _promises(room, _ROUNDS, quick=False)
    except _Useless:
        return
    finally:
        with suppress(JobError):  # a missing right to delete has been told by then
            room.clear()


def prove_quickly(store: Store) -> list[Check]:
    """What commits rest on, tried once instead of again and again; takes a fraction of a second."""
    room, checks = _room(store), list[Check]()
    try:
        for check in _promises(room, rounds=1, quick=True):
            checks.append(check)
    except _Useless:
        pass
    finally:
        with suppress(JobError):
            room.clear()
    return checks


def _room(store: Store) -> Store:
    return store.at(f"doctor-{uuid.uuid4().hex[:12]}")


def _promises(room: Store, rounds: int, *, quick: bool) -> Iterator[Check]:
    rights = _outcome("read, write, list, delete", partial(_rights, room))
    yield rights
    if not rights.ok:
        raise _Useless
    yield _outcome("create only if absent", partial(_creates_once, room, rounds=rounds))
    yield _outcome("replace only if unchanged", partial(_replaces_once, room, rounds=rounds))
    yield _outcome("listing shows what was just written", partial(_lists_at_once, room, count=2 * rounds))
    for name, check in room.own_checks(quick=quick):
        yield _outcome(name, check)


class _Useless(Exception):
    """Nothing can be written, so nothing more can be tried."""


def _outcome(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except JobError as error:
        return Check(name, False, str(error))


def _rights(room: Store) -> str:
    # Asked for first: then a missing bucket is told, which some servers make when they are written to.
    if room.stat("rights") or not room.create("rights", b"may write"):
        raise Failed(f"{room.url}/rights was there before it was created; {TELL}")
    if room.read("rights").data != b"may write" or room.open("rights").read() != b"may write":
        raise Failed(f"{room.url}/rights does not hold what was written; {TELL}")
    if [stat.name for stat in room.list("")] != ["rights"]:
        raise Failed(f"a listing of {room.url} does not show what was written; grant the right to list, or: {TELL}")
    room.delete("rights")
    if room.stat("rights"):
        raise Failed(f"{room.url}/rights is still there after it was deleted; {TELL}")
    return f"all four work in {room.url}"


def _creates_once(room: Store, *, rounds: int) -> str:
    for turn in range(rounds):
        name = f"created-{turn}"
        _one_wins(room, name, partial(room.create, name))
    return f"of {WRITERS} writers at once exactly one won, {rounds} times: two workers of one unit cannot both commit"


def _replaces_once(room: Store, *, rounds: int) -> str:
    for turn in range(rounds):
        name = f"replaced-{turn}"
        room.create(name, b"before")
        version = room.version(name)
        _one_wins(room, name, partial(room.replace, name, version=version))
        if room.replace(name, b"late", version=version):
            raise Failed(f"{room.url}/{name} was replaced although it had changed; {TELL}")
    return "of writers that saw the same version exactly one won, and a late one was refused: no update gets lost"


def _one_wins(room: Store, name: str, write: Callable[[bytes], bool]) -> None:
    bodies = [f"writer {number} of {WRITERS}".encode() for number in range(WRITERS)]
    together = threading.Barrier(WRITERS)

    def go(body: bytes) -> bool:
        together.wait()
        return write(body)

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [body for body, true in zip(bodies, pool.map(go, bodies), strict=True) if true]
    if len(won) != 1:
        raise Failed(f"of {WRITERS} writers of {room.url}/{name} at once {len(won)} won, not one; {TELL}")
    if room.read(name).data != won[0]:
        raise Failed(f"{room.url}/{name} does not hold what its only winner wrote; {TELL}")


def _lists_at_once(room: Store, *, count: int) -> str:
    names = [f"listed/{number:02d}" for number in range(count)]
    for written, name in enumerate(names, 1):
        room.create(name, name.encode())
        found = [stat.name for stat in room.list("listed/")]
        if found != names[:written]:
            raise Failed(f"after {name} was written a listing of {room.url} shows {found}; {TELL}")
    return "every object was in the next listing, in order: what is committed is never taken for missing"
