"""A folder of this machine, or of a POSIX file system that several share; the scheme may be left out."""

from __future__ import annotations

from pathlib import Path

from jobs.shards.local import LocalStore
from jobs.shards.local_files import LocalFiles
from jobs.shards.store import Store

ADDRESS = "a folder"
READER = "files_at"


def open_at(rest: str, *, patience_seconds: float) -> Store | None:
    """The store in the folder, which is always there to be asked; None where none is named."""
    return LocalStore(Path(rest)) if rest else None


def files_at(rest: str, *, patience_seconds: float) -> LocalFiles | None:
    """The same for files of others, whose digests are remembered while they stay as they are."""
    return LocalFiles(Path(rest)) if rest else None
