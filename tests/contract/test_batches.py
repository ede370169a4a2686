"""Exactly once on a folder and on a real S3 server: many claimers at once, kills at every call, few requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

import pytest

from jobs.shards.address import open_store
from jobs.shards.dataset import publish_manifest
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig, check_config
from pipeline.scheduled import claims
from pipeline.scheduled.batches import Batch, batch_rows, batches
from pipeline.scheduled.claims import Claim, create_claim, end_claim, read_chain

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLAIMERS = 16


class Killed(BaseException):
    """The end of a process in the middle of its work."""


@pytest.fixture(autouse=True)
def one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is opened once: making a client for S3 takes longer than all of a firing's requests."""
    monkeypatch.setattr("pipeline.scheduled.batches.open_store", cache(open_store))


def config_for(store: Store) -> RunConfig:
    values = {
        "run": "nightly",
        "store": f"{store.url}/runs",
        "inputs": {"evaluate": "trained"},
        "infer": {"images": f"{store.url}/incoming"},
    }
    return check_config(values)


def come(store: Store, *names: str, body: bytes = b"image") -> None:
    for name in names:
        store.put(f"incoming/{name}", body)


def finish(store: Store, batch: Batch) -> None:
    """Publish what the controller of the batch's run would."""
    for spec in batch.config.specs:
        publish_manifest(store.at(f"runs/{batch.config.run}/{spec.name}"), Manifest(spec.name, ()))


def hours(number: int) -> datetime:
    return NOON + timedelta(hours=number)


def fire(store: Store, number: int) -> list[tuple[str, ...]]:
    """Do all that is to be done now; returns the inputs of each batch."""
    done = []
    for batch in batches(config_for(store), hours(number)):
        finish(store, batch)
        done.append(batch.names)
    return done


@pytest.mark.parametrize("times", [CLAIMERS, 1], ids=["of different times", "of one time"])
def test_of_many_claimers_at_once_each_input_has_one(store: Store, times: int) -> None:
    come(store, *(f"early-{number}.png" for number in range(5)))
    config, together = config_for(store), threading.Barrier(CLAIMERS)

    yielded: list[Batch] = []

    def go(claimer: int) -> list[str]:
        together.wait()
        come(store, f"{claimer}-a.png", f"{claimer}-b.png")
        yielded.extend(batches(config, hours(claimer % times)))
        come(store, f"{claimer}-c.png")
        yielded.extend(batches(config, hours(100 + claimer % times)))
        return [f"{claimer}-{letter}.png" for letter in "abc"]

    with ThreadPoolExecutor(CLAIMERS) as pool:
        came = [name for names in pool.map(go, range(CLAIMERS)) for name in names]
    yielded.extend(batches(config, hours(1000)))
    chain = read_chain(store.at("runs/nightly")).claims
    assert {(batch.number, batch.names) for batch in yielded} == {(claim.number, claim.names) for claim in chain}
    assert Counter(name for claim in chain for name in claim.names) == Counter(
        [*came, *(f"early-{number}.png" for number in range(5))]
    )
    assert [claim.number for claim in chain] == list(range(1, len(chain) + 1))
    assert len({claim.scheduled for claim in chain}) == len(chain)
    assert len(chain) > 2 if times > 1 else len(chain) <= 3


def test_late_and_replaced_files(store: Store) -> None:
    come(store, "a.png", "b.png")
    assert fire(store, 1) == [("a.png", "b.png")]
    come(store, "b.png", body=b"another image")
    assert fire(store, 2) == []
    come(store, "0-late.png")
    assert fire(store, 5) == [("0-late.png",)], "three firings were missed"


def test_a_kill_between_claim_and_run_loses_and_repeats_nothing(store: Store) -> None:
    come(store, "a.png")
    killed = batches(config_for(store), hours(1))
    assert next(killed).names == ("a.png",)
    killed.close()
    come(store, "b.png")
    assert fire(store, 2) == [("a.png",), ("b.png",)]
    assert fire(store, 3) == []
    assert [row["state"] for row in batch_rows(config_for(store))] == ["done", "done"]


class Mortal:
    """A store whose process is killed before or after one of its calls."""

    def __init__(self, store: Store, die: Callable[[bool], None]) -> None:
        self._store, self._die, self.url = store, die, store.url

    def at(self, path: str) -> Mortal:
        return Mortal(self._store.at(path), self._die)

    def list(self, prefix: str) -> Iterator[Any]:
        return iter(self._call(lambda: list(self._store.list(prefix))))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return lambda *given, **named: self._call(lambda: method(*given, **named))

    def _call(self, ask: Callable[[], Any]) -> Any:
        self._die(True)
        answer = ask()
        self._die(False)
        return answer


def test_a_firing_that_is_killed_around_any_call_is_made_up_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BLOCK", 2)
    monkeypatch.setattr(claims, "_AT_ONCE", 1)
    opened, finished, came = cache(open_store), Counter[str](), list[str]()
    for deadly in count():
        come(store, earlier := f"{deadly}-earlier.png")
        left = batches(config_for(store), hours(3 * deadly))
        assert next(left).names == (earlier,), "claimed, and not run"
        left.close()
        come(store, new := f"{deadly}-new.png")
        came += [earlier, new]
        optimizer_state = count()

        def die(before: bool, deadly: int = deadly, optimizer_state: Iterator[int] = optimizer_state) -> None:
            if next(optimizer_state) == deadly:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr("pipeline.scheduled.batches.open_store", lambda url, die=die: Mortal(opened(url), die))
            try:
                for batch in batches(config_for(store), hours(3 * deadly + 1)):
                    finish(store, batch)
                    finished.update(batch.names)
            except Killed:
                pass
            else:
                break
        for names in fire(store, 3 * deadly + 2):
            finished.update(names)
    assert finished == Counter(came)
    assert deadly > 20, "no call is left out"


def test_two_thousand_inputs_and_a_long_chain_take_few_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.at("runs/nightly")
    for number in range(1, 41):
        name = f"{number}.png"
        come(store, name)
        assert create_claim(run, Claim(number, hours(number), f"{store.url}/incoming", (name,)))
        end_claim(run, number, "done", "")
    assert fire(store, 49) == []
    with ThreadPoolExecutor(CLAIMERS) as pool:
        list(pool.map(lambda number: come(store, f"x{number}.png"), range(2000)))
    requests = list[str]()
    monkeypatch.setattr("pipeline.scheduled.batches.open_store", counting(requests))
    first = batches(config_for(store), hours(50))
    # the claims: a listing, a block, 8 after it; the inputs: 3 pages of a listing; the new claim; is its run finished?
    assert len(next(first).names) == 2000
    assert len(requests) <= 15, Counter(requests)
    first.close()
    requests.clear()
    again = batches(config_for(store), hours(51))
    # the same with a claim more, and no look at the inputs before its run is finished
    assert len(next(again).names) == 2000
    assert len(requests) <= 12, Counter(requests)


def counting(requests: list[str]) -> Callable[[str], Store]:
    """Opens stores that note each request to the server, or each call where there is none."""

    def opened(url: str) -> Any:
        store = open_store(url)
        if isinstance(store, LocalStore):
            return Mortal(store, lambda before: requests.append("call") if before else None)
        assert isinstance(store, S3Store)
        store.client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request.method))
        return store

    return opened
