"""A digest of somebody else's file is taken once while the file stays as it is, and again when it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from jobs.collect.sources.image_folder import ImageFolder
from jobs.errors import NotFound
from jobs.shards import local_files
from jobs.shards.address import open_file, open_folder
from jobs.shards.digests import sha256, sha256_of_file

Digests = Callable[[], int]


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> Digests:
    """How many digests were taken so far, on a clock that is an hour ahead, so that all files have settled."""
    taken: list[str] = []

    def counting(file: BinaryIO) -> str:
        taken.append(file.name)
        return sha256_of_file(file)

    now = time.time_ns
    monkeypatch.setattr(local_files, "sha256_of_file", counting)
    monkeypatch.setattr("jobs.shards.local_files.time.time_ns", lambda: now() + 3_600_000_000_000)
    return lambda: len(taken)


def test_a_digest_is_taken_once(tmp_path: Path, digests: Digests) -> None:
    (tmp_path / "a.csv").write_bytes(b"one")
    for _ in range(3):
        files, name = open_file(str(tmp_path / "a.csv"))
        assert (
            files.version(name) == open_folder(str(tmp_path.parent)).at(tmp_path.name).version(name) == sha256(b"one")
        )
    assert digests() == 1


def test_it_is_taken_again_of_a_file_that_changed_and_shows_the_same_size_and_time(
    tmp_path: Path, digests: Digests
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    files, name = open_file(str(path))
    assert files.version(name) == sha256(b"one")
    path.write_bytes(b"two")
    os.utime(path, ns=(10**18, 10**18))
    assert files.version(name) == sha256(b"two")
    other = tmp_path / "other"
    other.write_bytes(b"six")
    other.replace(path)
    assert files.version(name) == sha256(b"six")
    assert digests() == 3
    path.unlink()
    with pytest.raises(NotFound):
        files.version(name)


def test_it_is_taken_each_time_of_a_file_that_was_written_just_now(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"one")
    files, name = open_file(str(path))
    assert files.version(name) == sha256(b"one")
    assert str(path) not in local_files._DIGESTS


def test_an_image_that_is_too_large_counts_by_its_size_alone(tmp_path: Path, digests: Digests) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(10**12)  # no bytes on the disk, but as many to read
    (tmp_path / "b.png").write_bytes(b"small")
    images = ImageFolder(open_folder(str(tmp_path)), largest=1_000)
    first = images.version()
    assert digests() == 1
    os.truncate(tmp_path / "a.png", 10**12 + 1)
    assert images.version() != first
