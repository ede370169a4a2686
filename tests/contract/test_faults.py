"""S3 through a proxy that loses answers and breaks connections: the outcome is the same, or an error says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.errors import TRY_AGAIN, NotFound, StoreError, StoreFull
from jobs.shards import s3_client
from jobs.shards.dataset import Committed, Dataset, Writer, commit, publish_manifest
from jobs.shards.records import Manifest
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from tests.contract.linearizable import violations
from tests.contract.recorder import History, Recorder
from tests.fakes.faulty_proxy import AT_RANDOM, Fault, FaultyProxy
from tests.s3_servers import server_of
from tests.samples import noise, numbered_samples, record_of

PART = 5 << 20
LARGE = noise(2 * PART + 1000)
PATIENT = 30.0  # seconds; a reader that waits for less asks again while the object is being replaced, and gets the old
Through = Callable[..., tuple[FaultyProxy, S3Store]]


@pytest.fixture
def s3_store(every_s3_store: S3Store) -> S3Store:
    """On every server: what these tests say, the server has to do."""
    return every_s3_store


@pytest.fixture
def through(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Through]:
    """Opens the empty store through a proxy; short time-outs, small parts."""
    proxies: list[FaultyProxy] = []
    slowness = server_of(request).slowness

    def open_through(
        *, timeout_seconds: float = 0.5, rate: float = 0.0, seed: int = 0, strip: tuple[str, ...] = ()
    ) -> tuple[FaultyProxy, S3Store]:
        proxy = FaultyProxy(os.environ["AWS_ENDPOINT_URL"], rate=rate, seed=seed, strip=strip).__enter__()
        proxies.append(proxy)
        if timeout_seconds >= 1:  # large objects: else it is asked again although nothing was lost
            timeout_seconds *= slowness
        with monkeypatch.context() as environment:
            environment.setenv("AWS_ENDPOINT_URL", proxy.address)
            store = S3Store(s3_store.bucket, s3_store.prefix, part_size=PART, timeout_seconds=timeout_seconds)
        return proxy, store

    yield open_through
    for proxy in proxies:
        proxy.__exit__()


@pytest.mark.parametrize("fault", ["lost", "reset-down"])
def test_a_creation_whose_answer_is_lost_was_a_creation(through: Through, fault: Fault) -> None:
    proxy, store = through()
    proxy.spoil(fault, "PUT", "name")
    assert store.create("name", b"ours")
    assert [(one.fault, one.status) for one in proxy.matching("PUT")] == [(fault, None), (None, 412)]
    assert proxy.injected == {fault: 1}


@pytest.mark.parametrize("fault", ["500", "503", "reset-up"])
def test_a_creation_that_never_arrived_is_sent_again(through: Through, fault: Fault) -> None:
    proxy, store = through()
    proxy.spoil(fault, "PUT", "name")
    assert store.create("name", b"ours")
    assert store.read("name").data == b"ours"
    assert [one.fault for one in proxy.matching("PUT")] == [fault, None]


def test_a_lost_answer_does_not_make_another_writers_object_ours(through: Through, s3_store: S3Store) -> None:
    proxy, store = through()
    s3_store.create("name", b"theirs")
    proxy.spoil("lost", "PUT", "name")
    assert not store.create("name", b"ours")
    assert store.read("name").data == b"theirs"


@pytest.mark.parametrize("fault", ["lost", "reset-down"])
def test_a_replacement_whose_answer_is_lost_was_a_replacement(through: Through, fault: Fault) -> None:
    proxy, store = through()
    store.create("name", b"before")
    version = store.version("name")
    proxy.spoil(fault, "PUT", "name", nth=1)
    assert store.replace("name", b"after", version=version)
    assert store.read("name").data == b"after"
    assert [one.status for one in proxy.matching("PUT")][1:] == [None, 412]


def test_a_replacement_that_was_itself_replaced_meanwhile_is_not_claimed(through: Through, s3_store: S3Store) -> None:
    proxy, store = through()
    store.create("name", b"before")
    version = store.version("name")
    change = lambda: s3_store.replace("name", b"later", version=s3_store.version("name"))  # noqa: E731
    proxy.spoil("lost", "PUT", "name", then=change)
    assert not store.replace("name", b"after", version=version)
    assert store.read("name").data == b"later"


@pytest.mark.parametrize("fault", ["lost", "reset-down"])
def test_an_upload_whose_completion_is_lost_was_completed(through: Through, fault: Fault) -> None:
    proxy, store = through(timeout_seconds=1.0)
    proxy.spoil(fault, "POST", "uploadId=")
    assert store.create("name", LARGE)
    assert store.read("name").data == LARGE
    assert [one.fault for one in proxy.matching("POST", "uploadId=")] == [fault, None]
    assert len(proxy.matching("PUT", "partNumber=")) == 3, "no part went up twice"


def test_a_large_replacement_whose_completion_is_lost_was_done(through: Through) -> None:
    proxy, store = through(timeout_seconds=1.0)
    store.create("name", b"before")
    proxy.spoil("lost", "POST", "uploadId=")
    assert store.replace("name", LARGE, version=store.version("name"))
    assert store.read("name").data == LARGE
    assert proxy.injected == {"lost": 1}


def test_a_part_that_breaks_off_is_sent_again_alone(through: Through) -> None:
    proxy, store = through(timeout_seconds=1.0)
    proxy.spoil("reset-up", "PUT", "partNumber=2")
    assert store.create("name", LARGE)
    assert sorted(one.path.split("partNumber=")[1][0] for one in proxy.matching("PUT")) == ["1", "2", "2", "3"]


@pytest.mark.parametrize("fault", ["reset-down", "cut-down", "stall-down"])
def test_a_download_that_breaks_off_goes_on_where_it_was(through: Through, s3_store: S3Store, fault: Fault) -> None:
    proxy, store = through(timeout_seconds=1.0)
    s3_store.create("name", LARGE)
    proxy.spoil(fault, "GET", "name")
    assert store.read("name").data == LARGE
    first, second = proxy.matching("GET", "name")
    version = s3_store.version("name")
    assert "range" not in first.headers
    assert second.headers["if-match"] == version
    start = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert second.sent == len(LARGE) - start
    assert 0 <= first.sent - start <= 1 << 20, "bytes that were sent twice"


def test_a_download_breaks_off_again_and_again(through: Through, s3_store: S3Store) -> None:
    proxy, store = through(timeout_seconds=1.0)
    s3_store.create("name", LARGE)
    for nth in range(1, 5):
        proxy.spoil("reset-down", "GET", "name", nth=nth)
    with store.open("name") as file:
        assert file.read() == LARGE
    assert proxy.injected == {"reset-down": 4}


def test_an_object_replaced_during_the_download_is_read_anew(through: Through, s3_store: S3Store) -> None:
    proxy, store = through(timeout_seconds=PATIENT)
    s3_store.create("name", LARGE)
    other = LARGE[::-1]
    change = lambda: s3_store.replace("name", other, version=s3_store.version("name"))  # noqa: E731
    proxy.spoil("reset-down", "GET", "name", then=change)
    body = store.read("name")
    assert body.data == other
    assert body.version == s3_store.version("name")
    assert [one.status for one in proxy.matching("GET", "name")] == [200, 412, 200]


def test_an_object_deleted_during_the_download_is_not_found(through: Through, s3_store: S3Store) -> None:
    proxy, store = through()
    s3_store.create("name", LARGE)
    proxy.spoil("reset-down", "GET", "name", then=lambda: s3_store.delete("name"))
    with pytest.raises(NotFound):
        store.read("name")


@pytest.mark.parametrize("ignored", ["if-match", "range"])
def test_versions_are_not_mixed_by_a_server_that_ignores_headers(
    through: Through, s3_store: S3Store, ignored: str
) -> None:
    proxy, store = through(strip=(ignored,), timeout_seconds=PATIENT)
    s3_store.create("name", LARGE)
    other = noise(len(LARGE), "other")
    change = lambda: s3_store.replace("name", other, version=s3_store.version("name"))  # noqa: E731
    proxy.spoil("reset-down", "GET", "name", then=change)
    assert store.read("name").data == other
    assert len(proxy.matching("GET", "name")) == 3


@pytest.mark.parametrize("fault", ["reset-down", "cut-down"])
def test_a_listing_that_breaks_off_is_asked_for_again(through: Through, fault: Fault) -> None:
    proxy, store = through()
    store.create("a/name", b"bytes")
    proxy.spoil(fault, "GET", "list-type")
    assert [stat.name for stat in store.list("a/")] == ["a/name"]
    assert proxy.injected == {fault: 1}


@pytest.mark.parametrize("fault", ["reset-down", "cut-down"])
def test_a_refusal_that_breaks_off_is_no_empty_object(through: Through, fault: Fault) -> None:
    proxy, store = through()
    proxy.spoil(fault, "GET", "missing")
    with pytest.raises(NotFound):
        store.read("missing")
    assert proxy.injected == {fault: 1}


def test_a_conflict_with_another_write_is_tried_again(through: Through) -> None:
    proxy, store = through()
    proxy.spoil("409", "PUT", "name")
    assert store.create("name", b"first")
    version = store.version("name")
    proxy.spoil("409", "PUT", "name", nth=1)
    assert store.replace("name", b"second", version=version)
    assert store.read("name").data == b"second"
    assert proxy.injected == {"409": 2}


def test_a_conflict_at_its_end_restarts_an_upload_in_parts(through: Through, s3_store: S3Store) -> None:
    proxy, store = through(timeout_seconds=1.0)
    proxy.spoil("409", "POST", "uploadId=")
    assert store.create("name", LARGE)
    assert len(proxy.matching("POST", "?uploads")) == 2
    assert "Uploads" not in s3_store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=store.prefix)


def test_conflicts_without_end_are_reported(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "TRIES", 3)
    proxy, store = through()
    for nth in range(1, 4):
        proxy.spoil("409", "PUT", "name", nth=nth)
    with pytest.raises(StoreError, match="other writers were in the way 3 times"):
        store.create("name", b"ours")


def test_a_server_without_space_is_reported_as_such(through: Through) -> None:
    proxy, store = through()
    proxy.spoil("507", "PUT", "name")
    with pytest.raises(StoreFull, match="no space left") as raised:
        store.create("name", b"ours")
    assert raised.value.exit_code == TRY_AGAIN
    assert store.stat("name") is None


def test_an_answer_lost_every_time_is_settled_all_the_same(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "TRIES", 2)
    proxy, store = through()
    proxy.spoil("lost", "PUT", "name")
    proxy.spoil("lost", "PUT", "name", nth=2)
    assert store.create("name", b"ours")
    assert [one.method for one in proxy.seen] == ["PUT", "PUT", "HEAD"]


def test_a_server_that_only_fails_is_reported(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "TRIES", 2)
    proxy, store = through()
    for nth in (1, 2):
        proxy.spoil("500", "PUT", "name", nth=nth)
    with pytest.raises(StoreError, match="injected") as raised:
        store.create("name", b"ours")
    assert raised.value.exit_code == TRY_AGAIN


def test_a_server_that_is_not_there_is_reported(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "TRIES", 2)
    proxy, store = through()
    proxy.__exit__()
    with pytest.raises(StoreError, match="Could not connect"):
        store.read("name")


def small_run(store: Store) -> tuple[str, list[str]]:
    """Commit 40 units, four of them larger than a part, publish and read back; the manifest's digest and all names."""

    def unit(number: int) -> tuple[Manifest, bool]:
        size = PART // 10 if number % 10 == 0 else 300
        shard = Writer(store).add_shard(f"train-{number:05d}", numbered_samples(12, size, seed=number))
        record = record_of(f"train-{number:05d}", shard)
        return Manifest("stage", (record.outcome,)), commit(store, record)

    with ThreadPoolExecutor(4) as pool:
        units = list(pool.map(unit, range(40)))
        assert all(won for _, won in units), "nobody else writes here"
        manifest = Manifest("stage", tuple(outcome for one, _ in units for outcome in one.outcomes))
        publish_manifest(store, manifest)
        dataset = Dataset(store, manifest)
        read = list(pool.map(lambda shard: sum(1 for _ in dataset.read(shard)), dataset.shards() * 2))
    assert read == [12] * 80
    committed = Committed.of(store)
    assert not any(committed.missing(outcome) for outcome in manifest.outcomes)
    return manifest.digest, [f"{stat.name} {stat.size}" for stat in store.list("")]


def test_one_fault_in_twenty_requests_changes_nothing(through: Through, s3_store: S3Store) -> None:
    undisturbed = s3_store.at("undisturbed")
    undisturbed.part_size = PART
    expected = small_run(undisturbed)
    proxy, store = through(timeout_seconds=1.0, rate=0.05, seed=5)
    history = History()
    assert small_run(Recorder(store.at("disturbed"), history)) == expected
    assert len(history.operations) > 150 and violations(history.operations) == []
    assert set(proxy.injected) == set(AT_RANDOM), f"all kinds of faults, in {len(proxy.seen)} requests"
    assert len(proxy.matching("PUT", "partNumber=")) >= 8
    s3_store.sweep(older_than_seconds=0)  # uploads that were begun by an answer that was lost
    assert "Uploads" not in s3_store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=s3_store.prefix)
