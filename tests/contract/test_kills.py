"""A writer killed at any moment leaves whole objects and nothing else to be seen."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from jobs.shards.dataset import Dataset, Writer, commit
from jobs.shards.digests import sha256
from jobs.shards.local import LocalStore
from jobs.shards.records import NAME_DIGITS, CommitRecord, Manifest, record_name
from jobs.shards.s3 import S3Store
from jobs.shards.store import UNFINISHED, Store
from tests.samples import noise, numbered_samples, record_of


@pytest.fixture
def s3_store(every_s3_store: S3Store) -> S3Store:
    """On every server: what these tests say, the server has to do."""
    return every_s3_store


def write_for_ever(store: Store, attempt: str) -> None:
    """Commit unit after unit, and replace one object all the while."""
    for number in count():
        shard = Writer(store).add_shard("train-00000", numbered_samples(2, 100_000, seed=(attempt, number)))
        commit(store, record_of(f"unit-{attempt}-{number}", shard))
        store.create("pointer", b"0" * 50_000)
        store.replace("pointer", str(number % 10).encode() * 50_000, version=store.version("pointer"))


def kill(work: Callable[[], None], *, after: float, once: Callable[[], object] = lambda: True) -> None:
    """Fork, let the child work, and kill it so many seconds after something was first seen of it."""
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            work()
        os._exit(1)
    patience = time.monotonic() + 30
    while not once() and time.monotonic() < patience:
        time.sleep(0.005)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it still worked when it was killed"


def check_everything_is_whole(store: Store) -> int:
    """Read back all there is; returns how many records there are."""
    objects = {stat.name: stat.size for stat in store.list("")}
    pointer = store.read("pointer").data if "pointer" in objects else b""
    assert pointer == pointer[:1] * len(pointer)
    assert len(pointer) in (0, 50_000)
    dataset = Dataset(store, Manifest("stage", ()))
    records = 0
    for name, size in objects.items():
        if name.startswith("shards/"):
            body = store.read(name).data
            assert (len(body), sha256(body)[:NAME_DIGITS]) == (size, name[-4 - NAME_DIGITS : -4])
        elif name.startswith("commits/"):
            (shard,) = CommitRecord.decode(store.read(name).data).outcome.shards
            assert len(list(dataset.read(shard))) == 2
            records += 1
        else:
            assert name == "pointer"
    return records


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob(f"{UNFINISHED}/*-*"))


def test_a_killed_writer_leaves_no_half_object_in_a_folder(local_store: LocalStore) -> None:
    chance, left = random.Random(1), 0  # noqa: S311
    for turn in range(40):
        kill(partial(write_for_ever, local_store, str(turn)), after=chance.uniform(0, 0.04))
        left += len(leftovers(local_store.root))
        if turn % 10 == 9:
            check_everything_is_whole(local_store)
            local_store.sweep()
            assert leftovers(local_store.root) == []
    assert check_everything_is_whole(local_store) > 0
    assert left > 0, "not one of the kills came in the middle of a write"


def test_a_killed_writer_leaves_no_half_object_in_a_bucket(s3_store: S3Store) -> None:
    chance = random.Random(2)  # noqa: S311
    for turn in range(6):
        begun = partial(s3_store.stat, record_name(f"unit-{turn}-0", "f" * 64))
        kill(partial(write_for_ever, s3_store, str(turn)), after=chance.uniform(0, 0.1), once=begun)
    assert check_everything_is_whole(s3_store) >= 6


def test_an_upload_in_parts_that_was_killed_is_not_there_and_is_swept(s3_store: S3Store) -> None:
    s3_store.part_size = 5 << 20
    size = 4 * s3_store.part_size

    def upload_for_ever() -> None:
        for number in count():
            s3_store.create(str(number), noise(size, number))

    def pending() -> bool:
        return "Uploads" in s3_store.client.list_multipart_uploads(Bucket=s3_store.bucket, Prefix=s3_store.prefix)

    for _ in range(10):
        kill(upload_for_ever, after=0, once=pending)
        if pending():
            break
    else:
        pytest.fail("not one of the kills came in the middle of an upload")
    for stat in s3_store.list(""):
        assert s3_store.read(stat.name).data == noise(size, int(stat.name))
    s3_store.sweep(older_than_seconds=0)
    assert not pending()


def test_sweeping_leaves_living_writers_alone(local_store: LocalStore) -> None:
    class Slow:
        """A body during whose reading the store is swept."""

        def __init__(self) -> None:
            self.parts = [b"one ", b"two"]

        def seek(self, *_: int) -> int:
            return 7

        def read(self, _: int = -1) -> bytes:
            LocalStore(local_store.root.parent).sweep()
            return self.parts.pop(0) if self.parts else b""

    assert local_store.create("folder/name", Slow())  # type: ignore[arg-type]
    assert local_store.read("folder/name").data == b"one two"


def test_sweeping_clears_what_others_left_anywhere_below(local_store: LocalStore) -> None:
    local_store.create("stage/shards/name", b"x")
    left = local_store.root / "stage" / "shards" / UNFINISHED / "4000000-left"
    left.write_bytes(b"half")
    LocalStore(local_store.root / "elsewhere").sweep()
    local_store.sweep()
    assert not left.exists()
    assert [stat.name for stat in local_store.list("")] == ["stage/shards/name"]
