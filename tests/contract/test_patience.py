"""A patient store outlives a server that is away, and settles what was under way when it went."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.errors import StoreError
from jobs.shards import patience, s3_client
from jobs.shards.s3 import S3Store
from tests.fakes.faulty_proxy import FaultyProxy
from tests.waiting import wait_for

PATIENCE = 60.0
Away = tuple[FaultyProxy, S3Store]


@pytest.fixture
def away(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    """A patient store whose way to the server, the proxy, is about to be cut: `proxy.down` refuses everything."""
    monkeypatch.setattr(s3_client, "TRIES", 1)
    monkeypatch.setattr(patience, "_LONGEST_PAUSE_SECONDS", 0.2)
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield proxy, S3Store(s3_store.bucket, s3_store.prefix, timeout_seconds=5, patience_seconds=PATIENCE)


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.read("old").data == b"old",
        lambda store: store.open("old").read() == b"old",
        lambda store: store.stat("old").size == 3,
        lambda store: [stat.name for stat in store.list("")] == ["old"],
        lambda store: store.create("new", b"new"),
        lambda store: store.at("below").create("new", b"new"),
        lambda store: store.replace("old", b"new", version=VERSION[0]),
        lambda store: store.put("old", b"new") is None,
        lambda store: store.delete("old") is None,
    ],
)
def test_every_operation_waits(away: Away, operation: Callable[[S3Store], bool]) -> None:
    proxy, store = away
    store.create("old", b"old")
    VERSION[:] = [store.version("old")]
    proxy.down = True
    with ThreadPoolExecutor(1) as pool:
        done: Future[bool] = pool.submit(operation, store)
        tries = proxy.refused
        wait_for(lambda: proxy.refused >= tries + 3, 30, "the operation to try again")
        assert not done.done()
        proxy.down = False
        assert done.result(timeout=120)


VERSION: list[str] = []


def test_a_patience_that_is_over_raises_what_it_raises_without(away: Away) -> None:
    proxy, store = away
    proxy.down = True
    for impatient in (store.without_patience(), S3Store(store.bucket, patience_seconds=0.5)):
        began = time.monotonic()
        with pytest.raises(StoreError):
            impatient.create("name", b"x")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("replacing", [False, True])
def test_a_write_whose_answer_and_settling_are_lost_was_ours(away: Away, replacing: bool) -> None:
    proxy, store = away
    write, cut = _write(store, replacing), lambda: setattr(proxy, "down", True)
    proxy.spoil("reset-down", "PUT", "name", nth=1, then=cut)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(write)
        wait_for(lambda: proxy.refused >= 2, 30, "the settling to be refused")
        proxy.down = False
        assert done.result(timeout=120)
    assert store.read("name").data == b"ours"
    assert len(proxy.matching("PUT", "name")) == (2 if replacing else 1), "written once, and once before"


@pytest.mark.parametrize("replacing", [False, True])
def test_a_write_that_another_writer_won_during_the_outage_is_not_ours(
    away: Away, s3_store: S3Store, replacing: bool
) -> None:
    proxy, store = away
    write, cut = _write(store, replacing), lambda: setattr(proxy, "down", True)
    proxy.spoil("500", "PUT", "name", nth=1, then=cut)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(write)
        wait_for(lambda: proxy.refused >= 2, 30, "the settling to be refused")
        s3_store.put("name", b"theirs")
        proxy.down = False
        assert not done.result(timeout=120)
    assert store.read("name").data == b"theirs"


def _write(store: S3Store, replacing: bool) -> Callable[[], bool]:
    if not replacing:
        return lambda: store.create("name", b"ours")
    store.create("name", b"before")
    version = store.version("name")
    return lambda: store.replace("name", b"ours", version=version)


def test_the_rest_of_a_download_waits(away: Away, s3_store: S3Store) -> None:
    proxy, store = away
    s3_store.create("name", bytes(3 << 20))
    proxy.spoil("reset-down", "GET", "name", then=lambda: setattr(proxy, "down", True))
    threading.Timer(1.0, setattr, (proxy, "down", False)).start()
    assert store.read("name").data == bytes(3 << 20)


def test_a_worker_that_waits_for_its_store_ends_when_asked_to(away: Away, tmp_path: Path) -> None:
    proxy, store = away
    proxy.down = True
    task = {"store": store.url, "run": "r", "stage": "collect", "params": {}, "inputs": {}, "completions": 1}
    env = {**os.environ, "I2P_TASK": json.dumps(task)}
    with (tmp_path / "log").open("w+") as log:
        quickly = "from jobs.shards import s3_client; s3_client.TRIES = 1; from jobs.__main__ import main; exit(main())"
        worker = subprocess.Popen([sys.executable, "-c", quickly], env=env, stderr=log)
        try:
            wait_for(lambda: "is away" in (tmp_path / "log").read_text(), 60, "the worker to wait")
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=120) == 75
        finally:
            worker.kill()
            worker.wait()
    assert "asked to stop by SIGTERM" in (tmp_path / "log").read_text()
