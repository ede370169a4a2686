"""A small disk to be filled: one that is mounted for it, or the small /dev/shm that a container has."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sharing import undisturbed

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - not for temporary files: for being small
_SMALL = 256 << 20  # bytes; docker, podman and Kubernetes give 64 MiB


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A folder, `folder` where one can be mounted, with at most `size` bytes of space; skips where there is none."""
    folder.mkdir()
    if not (refusal := _mount(folder, f"size={size}")):
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    elif _SHARED_MEMORY.exists() and shutil.disk_usage(_SHARED_MEMORY).total <= _SMALL:
        with undisturbed("shared-memory", alone=True), _filled_but_for(size) as inside:
            yield inside
    else:
        pytest.skip(f"needs the right to mount a small disk, or a /dev/shm of at most {_SMALL >> 20} MiB: {refusal}")


def limit_files(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small disk that is mounted hold so few files; where none can be, no more are opened for writing."""
    if not _mount(folder, f"remount,nr_inodes={number}"):
        return
    open_, left = Path.open, iter(range(number))

    def limited(path: Path, mode: str = "r", *arguments: object, **named: object) -> object:
        if "x" in mode and next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return open_(path, mode, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", limited)


def _mount(folder: Path, options: str) -> str:
    """Why it could not be mounted; empty where it was."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


@contextmanager
def _filled_but_for(size: int) -> Iterator[Path]:
    folder = _SHARED_MEMORY / f"i2p-tests-{uuid.uuid4().hex}"
    inside = folder / "disk"
    try:
        inside.mkdir(parents=True)
        (folder / "filler").write_bytes(bytes(max(0, shutil.disk_usage(folder).free - size)))
        yield inside
    finally:
        shutil.rmtree(folder)
