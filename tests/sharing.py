"""What test processes of one machine share: things that are made once, and a place that some of them need alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO

import pytest

_TEMPORARY = Path(gettempdir())  # before a test gives itself another one


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else is in a block with this file; the lock ends with its process, however that ends."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder of this session that the first of its processes fills, while the others wait."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with locked(folder.with_suffix(".lock")):
        done = folder.with_suffix(".done")
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder


@contextmanager
def in_use(name: str, start: Callable[[], bool], stop: Callable[[], None]) -> Iterator[None]:
    """`start` says whether it had to start anything; the last process to leave stops what one of them started."""
    folder = folder_of(name)
    started = folder / "started"
    with (folder / "users").open("ab") as users:
        with locked(folder / "transition"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if start():
                started.touch()
        try:
            yield
        finally:
            with locked(folder / "transition"):
                fcntl.flock(users, fcntl.LOCK_UN)
                if started.exists() and _is_last(users):
                    started.unlink()
                    stop()


@contextmanager
def undisturbed(name: str, *, alone: bool) -> Iterator[None]:
    """With the others, or alone: who wants to be alone waits until the others have left, and lets no more in."""
    folder = folder_of(name)
    with (folder / "inside").open("ab") as inside:
        with locked(folder / "entrance"):
            fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def folder_of(name: str) -> Path:
    """A folder of this user's that all test processes of the machine share."""
    folder = _TEMPORARY / f"i2p-tests-{name}-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder


def _is_last(users: BinaryIO) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
