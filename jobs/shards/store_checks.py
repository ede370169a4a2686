"""Proves on the place itself that a store keeps what the commit protocol needs of it.

Some S3-compatible servers accept conditional requests and ignore the condition; two Pods of one index would then both
win. Only trying shows it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from jobs.errors import I2PError
from jobs.shards.store import Store

WRITERS = 8  # at once
ADVICE = "commits are not safe here: use another server or bucket, or a newer version of the server"

_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried; `detail` says what it proves, or what went wrong and what to do."""

    name: str
    ok: bool
    detail: str


class Failed(I2PError):
    """The store did something else than it must."""


def examine(store: Store) -> Iterator[Check]:
    """Try the store, in a folder of its own that is gone afterwards; takes seconds.

    Ends after the first check when nothing can be written at all.
    """
    scratch = _scratch(store)
    try:
        yield from _promises(scratch, _ROUNDS, quick=False)
    except _Useless:
        return
    finally:
        with suppress(I2PError):  # a missing right to delete has been reported by then
            scratch.clear()


def prove_quickly(store: Store) -> list[Check]:
    """What commits rest on, tried once instead of again and again; takes a fraction of a second."""
    scratch, checks = _scratch(store), list[Check]()
    try:
        for check in _promises(scratch, rounds=1, quick=True):
            checks.append(check)
    except _Useless:
        pass
    finally:
        with suppress(I2PError):
            scratch.clear()
    return checks


def _scratch(store: Store) -> Store:
    return store.at(f"doctor-{uuid.uuid4().hex[:12]}")


def _promises(scratch: Store, rounds: int, *, quick: bool) -> Iterator[Check]:
    rights = _outcome("read, write, list, delete", partial(_rights, scratch))
    yield rights
    if not rights.ok:
        raise _Useless
    yield _outcome("create only if absent", partial(_creates_once, scratch, rounds=rounds))
    yield _outcome("replace only if unchanged", partial(_replaces_once, scratch, rounds=rounds))
    yield _outcome("listing shows what was just written", partial(_lists_at_once, scratch, count=2 * rounds))
    for name, check in scratch.own_checks(quick=quick):
        yield _outcome(name, check)


class _Useless(Exception):
    """Nothing can be written, so nothing more can be tried."""


def _outcome(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except I2PError as error:
        return Check(name, False, str(error))


def _rights(scratch: Store) -> str:
    # Asked for first: then a missing bucket is reported, which some servers make when they are written to.
    if scratch.stat("rights") or not scratch.create("rights", b"may write"):
        raise Failed(f"{scratch.url}/rights was there before it was created; {ADVICE}")
    if scratch.read("rights").data != b"may write" or scratch.open("rights").read() != b"may write":
        raise Failed(f"{scratch.url}/rights does not hold what was written; {ADVICE}")
    if [stat.name for stat in scratch.list("")] != ["rights"]:
        raise Failed(
            f"a listing of {scratch.url} does not show what was written; grant the right to list, or: {ADVICE}"
        )
    scratch.delete("rights")
    if scratch.stat("rights"):
        raise Failed(f"{scratch.url}/rights is still there after it was deleted; {ADVICE}")
    return f"all four work in {scratch.url}"


def _creates_once(scratch: Store, *, rounds: int) -> str:
    for turn in range(rounds):
        name = f"created-{turn}"
        _one_wins(scratch, name, partial(scratch.create, name))
    return f"of {WRITERS} writers at once exactly one won, {rounds} times: two workers of one unit cannot both commit"


def _replaces_once(scratch: Store, *, rounds: int) -> str:
    for turn in range(rounds):
        name = f"replaced-{turn}"
        scratch.create(name, b"before")
        version = scratch.version(name)
        _one_wins(scratch, name, partial(scratch.replace, name, version=version))
        if scratch.replace(name, b"late", version=version):
            raise Failed(f"{scratch.url}/{name} was replaced although it had changed; {ADVICE}")
    return "of writers that saw the same version exactly one won, and a late one was refused: no update gets lost"


def _one_wins(scratch: Store, name: str, write: Callable[[bytes], bool]) -> None:
    bodies = [f"writer {number} of {WRITERS}".encode() for number in range(WRITERS)]
    together = threading.Barrier(WRITERS)

    def go(body: bytes) -> bool:
        together.wait()
        return write(body)

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [body for body, true in zip(bodies, pool.map(go, bodies), strict=True) if true]
    if len(won) != 1:
        raise Failed(f"of {WRITERS} writers of {scratch.url}/{name} at once {len(won)} won, not one; {ADVICE}")
    if scratch.read(name).data != won[0]:
        raise Failed(f"{scratch.url}/{name} does not hold what its only winner wrote; {ADVICE}")


def _lists_at_once(scratch: Store, *, count: int) -> str:
    names = [f"listed/{number:02d}" for number in range(count)]
    for written, name in enumerate(names, 1):
        scratch.create(name, name.encode())
        found = [stat.name for stat in scratch.list("listed/")]
        if found != names[:written]:
            raise Failed(f"after {name} was written a listing of {scratch.url} shows {found}; {ADVICE}")
    return "every object was in the next listing, in order: what is committed is never taken for missing"
