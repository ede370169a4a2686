"""Data first, then its record, then the manifest; readers go through them and check everything."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Corrupt, I2PError, NotFound
from jobs.shards.dataset import Committed, Dataset, Writer, commit, load_manifest, missing_objects, publish_manifest
from jobs.shards.digests import sha256
from jobs.shards.local import LocalStore
from jobs.shards.records import MANIFEST, CommitRecord, Manifest, Shard, record_name
from jobs.shards.store import Store
from jobs.shards.tar import Sample, write_tar
from tests.samples import noise, numbered_samples, record_of

WRITERS = 3
PRINT = "f" * 64  # the fingerprint of the records here


@pytest.fixture
def store(every_store: Store) -> Store:
    """On every server: what these tests say, the server has to do."""
    return every_store


def written(store: Store, name: str = "train-00000", *, count: int = 3, seed: object = 0) -> Shard:
    return Writer(store).add_shard(name, numbered_samples(count, seed=seed))


def dataset_of(store: Store, *shards: Shard) -> Dataset:
    outcomes = tuple(record_of(shard.name, shard).outcome for shard in shards)
    return Dataset(store, Manifest("stage", outcomes))


def recorded(store: Store, unit: str = "unit") -> CommitRecord:
    return CommitRecord.decode(store.read(record_name(unit, PRINT)).data)


def spoil(store: Store, name: str, body: bytes) -> None:
    store.delete(name)
    store.create(name, body)


def test_what_is_committed_is_read_through_the_manifest(store: Store) -> None:
    shards = [written(store, f"train-{number:05d}", seed=number) for number in range(2)]
    shards.append(written(store, "val-00000", count=0))
    outcomes = []
    for shard in shards:
        record = record_of(shard.name, shard)
        assert commit(store, record)
        outcomes.append(record.outcome)
    publish_manifest(store, Manifest("stage", tuple(outcomes)))
    manifest = load_manifest(store)
    assert manifest is not None
    dataset = Dataset(store, manifest)
    assert dataset.shards() == tuple(shards)
    assert dataset.shards("val") == (shards[2],)
    assert [list(dataset.read(shard)) for shard in shards] == [
        numbered_samples(3, seed=0),
        numbered_samples(3, seed=1),
        [],
    ]
    assert sum(1 for _ in dataset.samples("train")) == 6
    assert dataset.reads("train") != dataset.reads("val")
    assert [stat.name.split("/")[0] for stat in store.list("")] == ["commits"] * 3 + [MANIFEST] + ["shards"] * 3


def test_shards_are_cut_by_size_and_sorted_by_key(store: Store) -> None:
    writer = Writer(store)
    writer.add_shards("val", numbered_samples(5)[::-1], size=2)
    assert [(shard.name, shard.samples) for shard in writer.shards] == [
        ("val-00000", 2),
        ("val-00001", 2),
        ("val-00002", 1),
    ]
    assert (writer.shards[0].first_key, writer.shards[0].last_key) == ("000003", "000004")


def test_the_same_work_has_the_same_objects(store: Store) -> None:
    assert written(store) == written(store)
    assert len(list(store.list(""))) == 1


def test_the_first_record_stays_whatever_later_ones_say(store: Store) -> None:
    first, other = written(store, seed=1), written(store, seed=2)
    assert commit(store, record_of("unit", first, attempt="a"))
    assert not commit(store, record_of("unit", first, attempt="b")), "the same outcome"
    assert not commit(store, record_of("unit", other, attempt="c")), "another outcome"
    assert recorded(store) == record_of("unit", first, attempt="a")


def test_committing_again_what_was_committed_is_winning(store: Store) -> None:
    record = record_of("unit", written(store))
    assert commit(store, record)
    assert commit(store, record)


@pytest.mark.parametrize("loss", ["gone", "cut short"])
def test_a_record_whose_object_is_gone_or_cut_is_replaced(store: Store, loss: str) -> None:
    first, other = written(store, seed=1), written(store, seed=2)
    commit(store, record_of("unit", first, attempt="a"))
    if loss == "gone":
        store.delete(first.object)
    else:
        spoil(store, first.object, b"short")
    assert missing_objects(store, recorded(store).outcome) == [first.object]
    assert commit(store, record_of("unit", other, attempt="b"))
    assert recorded(store).attempt == "b"


def test_work_done_again_mends_its_object_and_keeps_the_record(store: Store) -> None:
    shard = written(store)
    commit(store, record_of("unit", shard, attempt="a"))
    store.delete(shard.object)
    assert written(store) == shard
    assert not commit(store, record_of("unit", shard, attempt="b"))
    assert recorded(store).attempt == "a"


@pytest.mark.parametrize(
    "unreadable",
    [
        b"",
        b"{",
        b"[]",
        b"\xff" * 100,
        record_of("another").encode(),
        record_of("unit", fingerprint="f" * 63 + "0").encode(),
    ],
)
def test_a_record_that_cannot_be_read_commits_nothing(store: Store, unreadable: bytes) -> None:
    store.create(record_name("unit", PRINT), unreadable)
    assert Committed.of(store).record("unit", PRINT) is None
    assert commit(store, record_of("unit", written(store)))
    committed = Committed.of(store).record("unit", PRINT)
    assert committed is not None
    assert committed.outcome.unit == "unit"


def test_a_record_deleted_in_between_is_written_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(store, record_of("unit", written(store), attempt="a"))
    name, read = record_name("unit", PRINT), store.read

    def read_and_lose(asked: str) -> Any:
        monkeypatch.undo()
        store.delete(name)
        return read(asked)

    monkeypatch.setattr(store, "read", read_and_lose)
    assert commit(store, record_of("unit", written(store), attempt="b"))
    assert recorded(store).attempt == "b"


def test_what_is_committed_is_known_from_listings(store: Store) -> None:
    shard = written(store)
    for number, fingerprint in enumerate(["a" * 64, "b" * 64]):
        record = replace(record_of("unit", shard, fingerprint=fingerprint), finished=float(number))
        commit(store, record)
    commit(store, record_of("unit-2", shard, fingerprint="c" * 64))
    spoil(store, record_name("unit", "d" * 64), b"unreadable")
    store.create("commits/stray.json", b"{}")
    committed = Committed.of(store)
    assert [record.outcome.fingerprint[0] for record in committed.others("unit")] == ["b", "a"]
    assert [record.outcome.unit for record in committed.others("unit-2")] == ["unit-2"]
    assert committed.others("none") == []
    assert committed.record("unit", "c" * 64) is None
    assert committed.missing(record.outcome) == []
    store.delete(shard.object)
    assert Committed.of(store).missing(record.outcome) == [shard.object]


def test_of_processes_writing_one_shard_at_once_one_wins(store: Store) -> None:
    """Each writes other bytes for the same unit, so a half state would show."""
    url = store.url
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.writer", url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [writer.communicate()[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS
    for turn, won in enumerate(zip(*answers, strict=True)):
        unit = f"unit-{turn}"
        assert sorted(won) == ["False"] * (WRITERS - 1) + ["True"]
        record = recorded(store, unit)
        assert record.attempt == str(won.index("True"))
        (shard,) = record.outcome.shards
        assert list(dataset_of(store, shard).read(shard)) == numbered_samples(3, seed=(record.attempt, turn))
    names = [stat.name for stat in store.list("commits/")]
    assert len(names) == len(answers[0])


def test_threads_committing_one_unit_have_one_winner(store: Store) -> None:
    shards = [written(store, seed=writer) for writer in range(8)]
    together = threading.Barrier(len(shards))

    def go(writer: int) -> list[bool]:
        won = []
        for turn in range(5):
            together.wait()
            won.append(commit(store, record_of(f"unit-{turn}", shards[writer], attempt=str(writer))))
        return won

    with ThreadPoolExecutor(len(shards)) as pool:
        wins = list(pool.map(go, range(len(shards))))
    for turn, won in enumerate(zip(*wins, strict=True)):
        assert sum(won) == 1
        assert recorded(store, f"unit-{turn}").attempt == str(won.index(True))


def test_a_manifest_published_twice_at_once_is_published_once(store: Store) -> None:
    manifests = [Manifest("stage", (record_of("unit", written(store, seed=seed)).outcome,)) for seed in (1, 2)]
    for pair in ([manifests[0]] * 2, manifests, manifests[::-1]):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda manifest: publish_manifest(store, manifest), pair))
        assert load_manifest(store) in pair
    assert sum(stat.name == MANIFEST for stat in store.list("")) == 1


def test_a_manifest_that_cannot_be_read_is_reported_and_replaced(store: Store) -> None:
    assert load_manifest(store) is None
    store.create(MANIFEST, b"{")
    with pytest.raises(Corrupt):
        load_manifest(store)
    publish_manifest(store, Manifest("stage", ()))
    assert load_manifest(store) == Manifest("stage", ())


def damaged(shard: Shard, store: Store, how: str) -> Shard:
    """Damage the object or the record; returns the record's shard as it then is."""
    body = store.read(shard.object).data
    if how == "gone":
        store.delete(shard.object)
    elif how == "other samples, right digest":
        return replace(shard, samples=shard.samples + 1)
    elif how == "other last key, right digest":
        return replace(shard, last_key="zzz")
    else:
        spoil(
            store,
            shard.object,
            {"empty": b"", "cut": body[:-512], "longer": body + bytes(512), "flipped": bytes([body[0] ^ 1]) + body[1:]}[
                how
            ],
        )
    return shard


@pytest.mark.parametrize(
    "how",
    ["gone", "empty", "cut", "longer", "flipped", "other samples, right digest", "other last key, right digest"],
)
def test_a_shard_is_read_only_if_it_is_what_its_record_says(store: Store, how: str) -> None:
    shard = damaged(written(store), store, how)
    with pytest.raises(NotFound if how == "gone" else Corrupt, match=shard.object):
        dataset_of(store, shard).read(shard)


def test_a_shard_that_is_no_tar_is_refused_although_its_digest_holds(store: Store) -> None:
    shard = written(store)
    data = store.read(shard.object).data[:1024]
    spoil(store, shard.object, data)
    short = replace(shard, size=len(data), sha256=sha256(data))
    with pytest.raises(Corrupt, match="cut short"):
        dataset_of(store, short).read(short)


def test_a_failing_source_of_samples_leaves_nothing(store: Store) -> None:
    def samples() -> Any:
        yield from numbered_samples(2)
        raise I2PError("no more")

    writer = Writer(store)
    with pytest.raises(I2PError, match="no more"):
        writer.add_shard("train-00000", samples())
    assert list(store.list("")) == []
    assert writer.shards == []


def test_reading_takes_a_shards_memory_once(local_store: LocalStore) -> None:
    shard = Writer(local_store).add_shard("big", [Sample(f"{n:02d}", {"png": noise(1 << 20, n)}) for n in range(20)])
    tracemalloc.start()
    count = sum(1 for _ in dataset_of(local_store, shard).read(shard))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20
    assert peak < 1.3 * shard.size


def test_writing_many_small_samples_is_quick() -> None:
    fields = {"txt": b"x" * 60, "json": b"{}", "npy": bytes(1664)}
    samples = [Sample(f"{number:024x}", fields) for number in range(2000)]
    started = time.process_time()
    write_tar(samples, io.BytesIO())
    assert time.process_time() - started < 1.0


def test_paths_of_a_dataset_are_what_the_design_says(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    shard = written(store, "00042")
    commit(store, record_of("00042", shard))
    assert (tmp_path / f"shards/00042-{shard.sha256[:16]}.tar").is_file()
    assert (tmp_path / f"commits/00042-{PRINT[:16]}.json").is_file()
