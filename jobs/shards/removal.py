"""Removing what nothing reaches any more, beside writers that may be about to need it again.

    gc/<id>.json    names of objects of a stage that are about to be removed, and nothing else

Names follow from content, so work that is done again needs an object again that had become garbage. Both sides first
say what they do and look afterwards, so that at least one of them sees the other, whatever the order:

- who removes: announces the names, looks again whether anything reaches them, removes, withdraws the announcement;
- who needs an object that is there already: renews it, which makes it too young to be removed, looks for announcements,
  and only then whether the object is still there;
- who plans: leaves a note of its configuration, looks for announcements, and only then what there is.

Who finds what it needs announced tries again later. To look for announcements last would be too late: they may have
come and gone with what they named.

No object is removed before it is unreachable and a day old. An hour later an announcement is of somebody who is gone:
removing what was announced takes a quarter of an hour at most. All ages are by the store's own clock.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Set
from contextlib import contextmanager, suppress
from typing import Annotated, BinaryIO

from pydantic import BaseModel, Field, TypeAdapter

from jobs.errors import Corrupt, NotFound, StoreError
from jobs.shards.store import ObjectStat, Store
from jobs.shards.strict_json import STRICT, decode

FOLDER = "gc/"
ANNOUNCED_SECONDS = 3600.0  # after which an announcement counts no more
REMOVED_SECONDS = 900.0  # within which what was announced must be removed
RENEWED_SECONDS = 3600.0  # an object this young need not be renewed; far less than the youngest that is removed

_SKEW_SECONDS = 900.0  # the most by which clocks differ that S3 puts up with


class _Announcement(BaseModel):
    model_config = STRICT

    names: tuple[Annotated[str, Field(min_length=1)], ...]


_ANNOUNCEMENT = TypeAdapter(_Announcement)


@contextmanager
def announcing(store: Store, names: Collection[str]) -> Iterator[float]:
    """Announce inside the block that these objects are about to be removed; gives the Unix time by the store's clock.

    Where its process dies the announcement stays: until it is too old to count, what it names is not relied on.
    """
    name = f"{FOLDER}{uuid.uuid4().hex[:16]}.json"
    store.put(name, _Announcement(names=tuple(sorted(names))).model_dump_json().encode())
    stat = store.stat(name)
    try:
        yield stat.modified if stat and stat.modified is not None else time.time()
    finally:
        store.delete(name)


def announced(store: Store) -> set[str]:
    """The names of all objects that are about to be removed; `store` is a stage's."""
    names: set[str] = set()
    for stat in store.list(FOLDER):
        if age(stat) < ANNOUNCED_SECONDS + _SKEW_SECONDS:
            with suppress(NotFound, Corrupt):  # withdrawn since, or no announcement
                names.update(decode(_ANNOUNCEMENT, store.read(stat.name).data, stat.name, "an announcement").names)
    return names


def refuse_announced(removed: Set[str], names: Collection[str], store: Store) -> None:
    """Raises StoreError when one of the names that are needed is among those about to be removed."""
    if gone := removed & set(names):
        raise StoreError(
            f"{store.url}/{min(gone)} is being removed by `i2p gc` at this moment; try again when that "
            "has ended, in an hour at most"
        )


def ensure(store: Store, name: str, body: bytes | BinaryIO, *, size: int, sha256_: str) -> None:
    """Make the object `name`, which is named by its digest, hold exactly these bytes.

    An object there already is the same work done before. It is written again where it is damaged, and where it is so
    old that somebody may have found it unreachable. Raises StoreError when it is about to be removed.
    """
    before = store.stat(name)
    if before is None and store.create(name, body):
        return
    whole = store.holds(name, size=size, sha256=sha256_)
    if whole and (before is None or age(before) < RENEWED_SECONDS):
        return
    try:
        written = store.replace(name, body, version=store.version(name))
    except NotFound:  # deleted since; what is created now is new
        written = store.create(name, body)
    if not written and not store.holds(name, size=size, sha256=sha256_):
        raise StoreError(f"{store.url}/{name} was damaged and someone else is writing it again; try again")
    if whole:
        refuse_announced(announced(store), [name], store)
        if store.stat(name) is None:  # removed before it was renewed
            ensure(store, name, body, size=size, sha256_=sha256_)


def age(stat: ObjectStat, now: float | None = None) -> float:
    """Seconds since an object was last written; 0 where the store does not say."""
    return 0.0 if stat.modified is None else max(0.0, (time.time() if now is None else now) - stat.modified)
