"""What a place for objects must do.

The commit protocol needs four things of a store: an object appears whole or not at all, it is created only if absent,
it is replaced only if unchanged, and a listing shows everything that was created before it. `store_checks.py` proves
them on a real bucket.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from jobs.errors import BadData, Corrupt, NotFound, StoreFull
from jobs.shards.digests import sha256

UNFINISHED = ".unfinished"  # half-written files wait in folders of this name, out of every listing
_IN_MEMORY = 64 << 20  # bytes of a spool; what is larger waits in a temporary file
_LONGEST_PART = 255  # bytes; of a file name on every common file system
_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # lost or refused in XML, in which S3 lists names


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """An object's name within its store, its size in bytes, and what else a listing shows of it."""

    name: str
    size: int
    version: str | None = field(default=None, compare=False)  # what `Store.version` returns, without another request
    modified: float | None = field(default=None, compare=False)  # Unix time, by the clock of the store


@dataclass(frozen=True, slots=True)
class Body:
    """An object's bytes, and the version they were read at, for replacing it only if unchanged."""

    data: bytes
    version: str
    sha256: str | None = None  # of the bytes, where reading them has computed it already


@dataclass(frozen=True, slots=True)
class Downloads:
    """What may be downloaded from the web as one file, and whether from hosts that are not public."""

    most_bytes: int = 1 << 30
    most_seconds: float = 3600.0
    private_hosts: frozenset[str] = frozenset()  # HOST:PORT of those that may have an address that is not public


class Readable(Protocol):
    """Objects that can be read, of a store or of somebody else; every error is a StoreError that says what to do."""

    url: str

    def at(self, path: str) -> Readable:
        """What is below this, in which names leave out `path/`."""

    def read(self, name: str) -> Body:
        """The whole object; raises NotFound."""

    def open(self, name: str) -> BinaryIO:
        """The object as a file that can be read and sought; raises NotFound."""

    def stat(self, name: str) -> ObjectStat | None:
        """The object's size and when it was written, or None where there is no object."""

    def version(self, name: str) -> str:
        """Equal for equal content; known without reading the object where the store can say it. Raises NotFound."""

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """All objects whose names start with `prefix`, in order of name; none where there is nothing yet."""


class Store(Readable, Protocol):
    """Objects under names like `commits/00042.json`, which can be written, too."""

    @property
    def endpoint(self) -> str:
        """The way by which the store is reached, without credentials that may stand in it; `local` for a folder."""

    def at(self, path: str) -> Store:
        """The store below this one, in which names leave out `path/`."""

    def read_part(self, name: str, start: int, size: int) -> bytes:
        """`size` bytes, 1 or more, from byte `start` on, without reading the others; raises NotFound, Corrupt if the
        object ends before.
        """

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        """Whether the object is there with this size and digest."""

    def folders(self) -> Sequence[str]:
        """The names of the folders directly below, in order, without going through what is in them."""

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        """Create the object if there is none of that name; False where there is one, which is then left as it is.

        An ambiguous outcome (a time-out after the bytes were sent) is settled by the digest: an object that holds
        exactly these bytes was created by this call or might as well have been, and counts as created.
        """

    def replace(self, name: str, body: bytes | BinaryIO, *, version: str) -> bool:
        """Replace the object if it still is at `version`; False where it is not. Ambiguity is settled as above."""

    def put(self, name: str, body: bytes) -> None:
        """Make the object hold these bytes, whatever it held: one request, for a name that only one writer uses."""

    def delete(self, name: str) -> None:
        """Delete the object; nothing happens where there is none."""

    def sweep(self) -> None:
        """Remove what writers that are gone left unfinished; it was never visible, it only takes up space."""

    def clear(self) -> None:
        """Remove everything, also what is unfinished: for a store that nobody else uses."""

    def without_patience(self) -> Store:
        """The same store, whose operations raise at once what the service does not do now."""

    def own_checks(self, *, quick: bool) -> Sequence[tuple[str, Callable[[], str]]]:
        """What else has to be tried of this kind of store before commits are safe; `quick` leaves out what takes long.

        Each by its name; it returns what it proves, or raises an I2PError that says what is wrong and what to do.
        """


def checked(name: str) -> str:
    """The name, if every store can hold it and none can take it for a path out of itself; raises BadData."""
    parts = name.split("/")
    if (
        _UNSAFE.search(name)
        or not {"", ".", "..", UNFINISHED}.isdisjoint(parts)
        or any(len(part.encode()) > _LONGEST_PART for part in parts)
    ):
        raise BadData(
            f"an object is named like commits/00042.json, by parts of at most {_LONGEST_PART} bytes between "
            f"slashes, without control characters, not . or .. or {UNFINISHED}; given {name!r}"
        )
    return name


def part(data: bytes, size: int, where: str) -> bytes:
    """The bytes that were read of an object, if they are as many as were asked for; raises Corrupt."""
    if len(data) != size:
        raise Corrupt(f"{where} ends before it should: {size:,} bytes of it were asked for, {len(data):,} are there")
    return data


def verified(store: Store, name: str, *, size: int, sha256_: str) -> bytes:
    """The object's bytes after checking them against their record; raises NotFound, or Corrupt if they differ."""
    body = store.read(name)
    if len(body.data) != size:
        raise Corrupt(f"{store.url}/{name} has {len(body.data):,} bytes, its record says {size:,}; {_REDO}")
    if (found := body.sha256 or sha256(body.data)) != sha256_:
        raise Corrupt(f"{store.url}/{name} has digest {found[:16]}…, its record says {sha256_[:16]}…; {_REDO}")
    return body.data


_REDO = "`i2p repair` makes it again, and what depends on it where it comes out differently"


def overwrite(store: Store, name: str, body: bytes | BinaryIO) -> None:
    """Make an object hold these bytes, whatever it held; of several writers at once the last one wins."""
    while not store.create(name, body):
        with suppress(NotFound):  # deleted in between
            if store.replace(name, body, version=store.version(name)):
                return


def spool() -> BinaryIO:
    """A temporary file, in memory while it is small; to be written to within `spooling()`."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))


@contextmanager
def spooling() -> Iterator[None]:
    """Raises StoreFull when the folder for temporary files is full inside the block."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise StoreFull(f"{error.strerror}: full, or none may be written to; free some space or set TMPDIR") from error
    with translate_full_disk(Path(folder)):
        yield


@contextmanager
def translate_full_disk(
    folder: Path, advice: str = "free some space and run again, everything committed is kept"
) -> Iterator[None]:
    """Make a full disk below `folder` a StoreFull that names it and ends with the advice."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        raise StoreFull(
            f"the disk of {folder} is full, {shutil.disk_usage(there).free:,} bytes are free ({error.strerror}); "
            f"{advice}"
        ) from error
