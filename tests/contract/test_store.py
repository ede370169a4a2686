"""What every store must do; the same tests on a folder and on a real S3 server."""

from __future__ import annotations

import io
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.errors import BadData, Corrupt, NotFound
from jobs.shards.digests import sha256
from jobs.shards.removal import ensure
from jobs.shards.s3 import S3Store
from jobs.shards.store import UNFINISHED, Store, spool, verified
from tests.s3_servers import server_of
from tests.samples import noise

WRITERS = 16
ROUNDS = 25
ODD = ["a b", "a+b", "a&b=c?d#e", "100%", "été", "雪/😀", "~", "Z", "a-b", "a/b", "a.b", "ab", "'\"<>", ".hidden", "\\"]
BAD = ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "./a", "a\nb", "a\0", "\udcff", "x" * 256, f"{UNFINISHED}/a"]


@pytest.fixture
def store(every_store: Store) -> Store:
    """On every server: what these tests say, the server has to do."""
    return every_store


@pytest.fixture
def odd(store: Store, request: pytest.FixtureRequest) -> list[str]:
    """Names that the store has to keep as they are, and to list in order."""
    if not isinstance(store, S3Store):
        return ODD
    server = server_of(request)
    unfit = {"\\": not server.keeps_backslashes, "a/b": not server.sorts_by_byte}
    return [name for name in ODD if not unfit.get(name)]


def names(store: Store, prefix: str = "") -> list[str]:
    return [stat.name for stat in store.list(prefix)]


def spooled(body: bytes) -> Any:
    file = spool()
    file.write(body)
    return file


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_what_is_created_is_read(store: Store, size: int) -> None:
    body = noise(size)
    assert store.create("folder/name.bin", body)
    assert store.read("folder/name.bin").data == body
    with store.open("folder/name.bin") as file:
        assert file.read(10) == body[:10]
        assert file.seek(size // 2) == size // 2
        assert file.read() == body[size // 2 :]
    assert store.stat("folder/name.bin") == next(store.list("folder/"))
    assert store.holds("folder/name.bin", size=size, sha256=sha256(body))


def test_a_part_is_read_alone(store: Store) -> None:
    body = noise(100_000)
    store.create("folder/name.bin", body)
    for start, size in [(0, 1), (0, 100_000), (99_999, 1), (12_345, 67_890)]:
        assert store.read_part("folder/name.bin", start, size) == body[start : start + size]
    for start, size in [(99_999, 2), (100_000, 1), (200_000, 1)]:
        with pytest.raises(Corrupt, match="ends before it should"):
            store.read_part("folder/name.bin", start, size)
    with pytest.raises(NotFound):
        store.read_part("folder/other.bin", 0, 1)


def test_what_is_put_is_there_whatever_was_there_before(store: Store) -> None:
    for body in (b"short", noise(100_000), b"", b"short"):
        store.put("logs/00000-a.jsonl", body)
        assert store.read("logs/00000-a.jsonl").data == body
        assert store.holds("logs/00000-a.jsonl", size=len(body), sha256=sha256(body))
    assert names(store) == ["logs/00000-a.jsonl"]


def test_nothing_there_is_reported_not_guessed(store: Store) -> None:
    asks: list[Callable[[str], object]] = [store.read, store.open, store.version]
    for name in ("missing", "missing/deeper"):
        assert store.stat(name) is None
        assert not store.holds(name, size=0, sha256=sha256(b""))
        assert not store.replace(name, b"x", version="any")
        store.delete(name)
        for ask in asks:
            with pytest.raises(NotFound, match="does not exist"):
                ask(name)
    assert names(store) == names(store, "missing/") == names(store, "missing/dee") == []
    assert names(store.at("missing")) == []


def test_a_folder_is_no_object(store: Store) -> None:
    store.create("folder/name", b"x")
    assert store.stat("folder") is None
    with pytest.raises(NotFound):
        store.read("folder")
    store.delete("folder")
    assert names(store) == ["folder/name"]


def test_a_second_creation_changes_nothing(store: Store) -> None:
    assert store.create("name", b"first")
    assert not store.create("name", b"other")
    assert not store.create("name", b"longer than the first")
    assert store.create("name", b"first"), "the same bytes might as well have been written by this call"
    assert store.read("name").data == b"first"


def test_files_are_taken_from_their_beginning(store: Store) -> None:
    for number, file in enumerate([io.BytesIO(b"0123456789"), spooled(b"0123456789")]):
        file.seek(5)
        assert store.create(str(number), file)
        assert store.read(str(number)).data == b"0123456789"
        file.seek(5)
        assert store.create(str(number), file)
        assert not store.create(str(number), io.BytesIO(b"01234567890"))


def test_only_what_is_unchanged_is_replaced(store: Store) -> None:
    store.create("name", b"one")
    one = store.read("name").version
    assert one == store.version("name")
    assert store.replace("name", b"two", version=one)
    assert not store.replace("name", b"three", version=one)
    assert not store.replace("name", b"two", version=one), "another writer wrote these bytes"
    two = store.version("name")
    assert store.replace("name", io.BytesIO(b"one"), version=two)
    assert store.version("name") == one, "a version stands for the content"
    store.delete("name")
    assert not store.replace("name", b"two", version=one)
    assert names(store) == []


def test_deleting_twice_is_deleting(store: Store) -> None:
    store.create("name", b"x")
    store.delete("name")
    store.delete("name")
    assert store.stat("name") is None
    assert store.create("name", b"y")


def test_a_listing_is_in_order_of_utf8_and_by_prefix(store: Store, odd: list[str]) -> None:
    for name in odd:
        assert store.create(f"odd/{name}", name.encode())
    everything = sorted((f"odd/{name}" for name in odd), key=str.encode)
    assert names(store) == names(store, "odd/") == names(store, "od") == everything
    assert names(store, "odd/a") == [name for name in everything if name.startswith("odd/a")]
    assert names(store, "odd/雪/") == ["odd/雪/😀"]
    assert names(store, "elsewhere") == []
    assert names(store.at("odd")) == [name.removeprefix("odd/") for name in everything]
    assert names(store.at("odd").at("雪")) == ["😀"]
    for name in odd:
        assert store.at("odd").read(name).data == name.encode()


def test_a_listing_tells_the_version_where_it_tells_any(store: Store) -> None:
    if isinstance(store, S3Store):
        store.part_size = 5 << 20
    store.create("in/whole", b"x")
    store.create("in/parts", spooled(noise(6 << 20)))
    store.replace("in/whole", b"y", version=store.version("in/whole"))
    noted = {stat.name: stat.version for stat in store.list("in/")}
    if isinstance(store, S3Store):
        assert noted == {name: store.version(name) for name in ("in/parts", "in/whole")}
        assert noted["in/whole"] == store.read("in/whole").version
    else:
        assert noted == {"in/parts": None, "in/whole": None}, "a folder would have to read all files"


def test_a_listing_tells_when_an_object_was_written(store: Store) -> None:
    before = time.time()
    store.create("in/name", b"x")
    (listed,), stat = store.list("in/"), store.stat("in/name")
    assert stat is not None and listed.modified == stat.modified
    assert stat.modified is not None and before - 2 <= stat.modified <= time.time() + 2, "S3 gives whole seconds"


def test_a_listing_has_more_than_one_page(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.create(f"many/{number:05d}", b"x"), range(1005)))
    assert names(store, "many/") == [f"many/{number:05d}" for number in range(1005)]
    assert len(names(store, "many/0100")) == 5


def test_folders_are_those_directly_below_and_of_more_than_one_page(store: Store) -> None:
    assert list(store.folders()) == []
    for name in ("b/embed/commits/1.json", "b/x", "a/x", "store.json"):
        assert store.create(name, b"1")
    assert list(store.folders()) == ["a", "b"]
    assert list(store.at("b").folders()) == ["embed"]
    assert list(store.at("b/embed/commits").folders()) == list(store.at("never").folders()) == []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.create(f"many/{number:05d}/x", b"x"), range(1005)))
    assert list(store.at("many").folders()) == [f"{number:05d}" for number in range(1005)]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_not_every_store_can_hold_is_refused(store: Store, name: str) -> None:
    asks: list[Callable[[], object]] = [
        lambda: store.create(name, b""),
        lambda: store.read(name),
        lambda: store.stat(name),
        lambda: store.at(name),
        lambda: store.delete(name),
    ]
    for ask in asks:
        with pytest.raises(BadData, match="named like"):
            ask()
    assert names(store) == []


def test_stores_travel_to_other_processes(store: Store) -> None:
    store.create("name", b"x")
    again: Store = pickle.loads(pickle.dumps(store))  # noqa: S301, what was dumped just here
    assert again.read("name").data == b"x"
    child = os.fork()
    if not child:
        os._exit(0 if store.read("name").data == b"x" and store.create("from-child", b"y") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.read("from-child").data == b"y"


def test_of_many_creators_one_wins(store: Store) -> None:
    together = threading.Barrier(WRITERS)

    def go(writer: int) -> list[int]:
        won = []
        for turn in range(ROUNDS):
            together.wait()
            if store.create(f"turn-{turn}", f"writer {writer}".encode()):
                won.append(turn)
        return won

    with ThreadPoolExecutor(WRITERS) as pool:
        wins = list(pool.map(go, range(WRITERS)))
    assert sorted(turn for won in wins for turn in won) == list(range(ROUNDS))
    for writer, won in enumerate(wins):
        for turn in won:
            assert store.read(f"turn-{turn}").data == f"writer {writer}".encode()


def test_no_update_gets_lost(store: Store) -> None:
    store.create("counter", b"0")
    writers, additions = 4, 10

    def add(_: int) -> None:
        for _ in range(additions):
            while True:
                body = store.read("counter")
                if store.replace("counter", str(int(body.data) + 1).encode(), version=body.version):
                    break

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(add, range(writers)))
    assert int(store.read("counter").data) == writers * additions


def test_readers_see_whole_objects_while_they_are_replaced(store: Store) -> None:
    bodies = [bytes([letter]) * 300_000 for letter in b"ab"]
    store.create("name", bodies[0])
    stop = threading.Event()

    def replace() -> None:
        for turn in range(1, 40):
            assert store.replace("name", bodies[turn % 2], version=store.version("name"))
        stop.set()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(replace)
        while not stop.is_set() and not done.done():
            assert store.read("name").data in bodies
        done.result()


def test_verified_bytes_are_those_of_the_record(store: Store) -> None:
    store.create("name", b"right")
    assert verified(store, "name", size=5, sha256_=sha256(b"right")) == b"right"
    with pytest.raises(Corrupt, match="5 bytes, its record says 6"):
        verified(store, "name", size=6, sha256_=sha256(b"right"))
    with pytest.raises(Corrupt, match="digest"):
        verified(store, "name", size=5, sha256_=sha256(b"wrong"))
    with pytest.raises(NotFound):
        verified(store, "missing", size=5, sha256_=sha256(b"right"))


@pytest.mark.parametrize("damaged", [b"", b"cut sho", b"other by"])
def test_a_damaged_object_is_mended(store: Store, damaged: bytes) -> None:
    body = b"whole by"
    for what in (body, io.BytesIO(body), spooled(body)):
        store.delete("object")
        store.create("object", damaged)
        ensure(store, "object", what, size=len(body), sha256_=sha256(body))
        assert store.read("object").data == body
        ensure(store, "object", what, size=len(body), sha256_=sha256(body))
