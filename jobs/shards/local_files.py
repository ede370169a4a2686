"""Files in a local folder that others own and that are only read: a digest is taken once of one that stays as it is."""

from __future__ import annotations

import os
import time
from pathlib import Path

from jobs.shards.digests import sha256_of_file
from jobs.shards.local import LocalStore

_SETTLED_NS = 2_000_000_000  # the coarsest times of a file system in use, FAT's, are 2 s apart

_State = tuple[int, ...]

_DIGESTS: dict[str, tuple[_State, str]] = {}  # by path; of this process, which plans a run some twenty times


class LocalFiles(LocalStore):
    """A folder as a store that is never written to, so that its files may be trusted to change as files do."""

    def at(self, path: str) -> LocalFiles:
        return LocalFiles(super().at(path).root)

    def version(self, name: str) -> str:
        with self._errors(name):
            return _digest(self._path(name))


def _digest(path: Path) -> str:
    """The SHA-256 of a file, taken again where its size, its times or the file itself are other ones than before."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        state = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        known = _DIGESTS.get(str(path))
        if known and known[0] == state:
            return known[1]
        digest = sha256_of_file(file)
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:  # else it may change and show the same
        _DIGESTS[str(path)] = state, digest
    return digest
