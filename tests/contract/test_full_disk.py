"""A full disk: said plainly, nothing half-written to be seen, nothing lost; with space again the same write works."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import TRY_AGAIN, StoreFull
from jobs.shards import store as stores
from jobs.shards.dataset import Dataset, Writer, commit
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, record_name
from jobs.shards.s3 import S3Store
from jobs.shards.store import UNFINISHED
from tests.samples import noise, numbered_samples, record_of
from tests.small_disk import limit_files, small_disk

SPACE = 1 << 20  # bytes


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk with very little space."""
    with small_disk(tmp_path / "disk", SPACE) as folder:
        yield folder


def fill(folder: Path) -> Path:
    """Take up all space with another file, which is returned."""
    path = folder / "filler"
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{UNFINISHED}/*-*"))


def test_a_shard_that_does_not_fit_leaves_everything_as_it_was(small_disk: Path) -> None:
    store = LocalStore(small_disk / "store")
    first = Writer(store).add_shard("train-00000", numbered_samples(3))
    assert commit(store, record_of("train-00000", first))
    before = list(store.list(""))

    large = numbered_samples(4, SPACE // 3)
    with pytest.raises(StoreFull, match=f"the disk of {store.root} is full, .* bytes are free") as raised:
        Writer(store).add_shard("train-00001", large)
    assert raised.value.exit_code == TRY_AGAIN
    assert list(store.list("")) == before
    assert unfinished(small_disk) == []
    assert list(Dataset(store, Manifest("stage", ())).read(first)) == numbered_samples(3)

    small = numbered_samples(2, SPACE // 4)
    filler = fill(small_disk)
    with pytest.raises(StoreFull):
        Writer(store).add_shard("train-00001", small)
    filler.unlink()
    second = Writer(store).add_shard("train-00001", small)
    assert commit(store, record_of("train-00001", second))
    assert list(Dataset(store, Manifest("stage", ())).read(second)) == small


def test_a_record_that_does_not_fit_is_not_there(small_disk: Path) -> None:
    store = LocalStore(small_disk / "store")
    shard = Writer(store).add_shard("train-00000", numbered_samples(3))
    record = record_of("train-00000", shard)
    filler = fill(small_disk)
    with pytest.raises(StoreFull):
        commit(store, record)
    assert list(store.list("commits/")) == []
    filler.unlink()
    assert commit(store, record)


def test_a_replacement_that_does_not_fit_leaves_the_old(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    store.create("name", b"old")
    version = store.version("name")
    with pytest.raises(StoreFull):
        store.replace("name", noise(2 * SPACE), version=version)
    assert store.read("name").data == b"old"
    assert store.replace("name", b"new", version=version)


def test_deleting_makes_space_on_a_full_disk(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    store.create("large", noise(SPACE // 2))
    fill(small_disk)
    with pytest.raises(StoreFull):
        store.create("next", noise(SPACE // 4))
    store.delete("large")
    assert store.create("next", noise(SPACE // 4))


def test_running_out_of_files_is_a_full_disk_too(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_files(small_disk, 12, monkeypatch)
    store = LocalStore(small_disk)
    with pytest.raises(StoreFull, match="is full"):
        for number in range(20):
            store.create(f"name-{number}", b"x")
    assert all(store.read(stat.name).data == b"x" for stat in store.list(""))


def test_a_record_is_whole_or_not_there_however_little_space_is_left(small_disk: Path) -> None:
    store = LocalStore(small_disk / "store")
    shard = Writer(store).add_shard("train-00000", numbered_samples(3))
    filler = fill(small_disk)
    committed = 0
    for number in range(60):
        os.truncate(filler, filler.stat().st_size - 4096)
        unit = f"unit-{number}"
        try:
            commit(store, record_of(unit, shard))
            committed += 1
        except StoreFull:
            pass
        for stat in store.list("commits/"):
            CommitRecord.decode(store.read(stat.name).data)
    assert committed > 0
    assert store.stat(record_name("unit-59", "f" * 64))


@pytest.fixture
def small_tmp(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files is on the small disk, and even small files wait there."""
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    monkeypatch.setattr(stores, "_IN_MEMORY", 1000)
    return small_disk


def test_a_full_folder_for_temporary_files_is_reported(small_tmp: Path, local_store: LocalStore) -> None:
    large = numbered_samples(4, SPACE // 3)
    with pytest.raises(StoreFull, match=f"the disk of {small_tmp} is full"):
        Writer(local_store).add_shard("train-00000", large)
    assert list(local_store.list("")) == []
    assert list(small_tmp.iterdir()) == []
    small = numbered_samples(2, SPACE // 4)
    assert Writer(local_store).add_shard("train-00000", small).samples == 2


def test_a_download_that_does_not_fit_is_reported(small_tmp: Path, s3_store: S3Store) -> None:
    s3_store.create("name", noise(2 * SPACE))
    with pytest.raises(StoreFull, match=f"the disk of {small_tmp} is full"):
        s3_store.open("name")
    assert list(small_tmp.iterdir()) == []
    assert len(s3_store.read("name").data) == 2 * SPACE


def test_no_folder_for_temporary_files_is_reported(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    with pytest.raises(StoreFull, match="set TMPDIR"):
        Writer(local_store).add_shard("train-00000", numbered_samples(1))
