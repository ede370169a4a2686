"""How a failing API server is left alone, and a watch that looks after itself, against a server that misbehaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.executors.kubernetes.client import connection as connection_module
from pipeline.executors.kubernetes.client import watch as watch_module
from pipeline.executors.kubernetes.client.api import JOBS, PODS, Api
from pipeline.executors.kubernetes.client.api_errors import Unreachable
from pipeline.executors.kubernetes.client.backoff import Backoff, Gate
from pipeline.executors.kubernetes.client.watch import Watch
from tests.fakes.fake_apiserver import Asked, Events, FakeApiServer, Reply, connected, event, in_turn, listing, status
from tests.waiting import wait_for


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        yield fake


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Api]:
    """A client of any address."""
    return partial(connected, monkeypatch, tmp_path)


@pytest.fixture
def api(server: FakeApiServer, connect: Callable[..., Api]) -> Api:
    return connect(server.address)


# The gate


def test_delays_grow_from_half_a_second_to_half_a_minute_and_are_never_short() -> None:
    least, most = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    assert [least.next() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    assert [most.next() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_after_a_failure_everyone_is_reported_when_to_come_back_and_nothing_is_sent(
    server: FakeApiServer, connect: Callable[..., Api]
) -> None:
    clock = Clock()
    api = connect(server.address, gate=Gate(clock, lambda: 1.0))
    server.answer = lambda asked: status(500, "broken")
    with pytest.raises(Unreachable) as caught:
        api.list(JOBS)
    assert caught.value.retry_in == 0.5 and api.unreachable_since == 1000.0
    clock.now += 0.2
    with pytest.raises(Unreachable, match=r"not asked again yet.*broken") as caught:
        api.get(PODS, "a")
    assert caught.value.retry_in == pytest.approx(0.3) and len(server.asked) == 1
    clock.now += 0.3
    server.answer = lambda asked: listing()
    api.list(JOBS)
    assert getattr(api, "unreachable_since") is None  # noqa: B009 - mypy still believes the first answer
    server.answer = lambda asked: status(500, "broken")
    with pytest.raises(Unreachable) as caught:
        api.list(JOBS)
    assert caught.value.retry_in == 0.5, "success makes the next failure the first again"


@pytest.mark.parametrize(
    "answer",
    [
        Reply({"kind": "Status"}, 429, {"Retry-After": "7"}),
        Reply({"kind": "Status"}, 503, {"Retry-After": "7"}),
        status(503, "", retryAfterSeconds=7),
    ],
)
def test_the_server_may_ask_to_be_left_alone_for_longer(
    server: FakeApiServer, connect: Callable[..., Api], answer: Reply
) -> None:
    api = connect(server.address, gate=Gate(Clock()))
    server.answer = lambda asked: answer
    with pytest.raises(Unreachable) as caught:
        api.list(JOBS)
    assert caught.value.retry_in == 7


def test_only_one_request_tries_whether_the_server_is_back() -> None:
    clock = Clock()
    gate = Gate(clock)

    def fail() -> None:
        with gate.passage("a"):
            raise Unreachable("gone")

    with pytest.raises(Unreachable):
        fail()
    clock.now += 1
    with gate.passage("first"), pytest.raises(Unreachable, match="not asked again yet"), gate.passage("second"):
        pytest.fail("the first has not ended")
    with gate.passage("third"), gate.passage("fourth"):
        pass  # it is back


def test_requests_that_fail_together_count_as_one_failure() -> None:
    gate = Gate(Clock(), lambda: 1.0)
    error = Unreachable("gone")
    passages = [gate.passage(name) for name in ("a", "b", "c")]
    for passage in passages:
        passage.__enter__()
    for passage in passages:
        passage.__exit__(Unreachable, error, None)
    assert error.retry_in == 0.5


def test_an_interrupted_try_leaves_the_gate_to_the_next() -> None:
    clock = Clock()
    gate = Gate(clock)
    with pytest.raises(Unreachable), gate.passage("a"):
        raise Unreachable("gone")
    clock.now += 1
    with pytest.raises(KeyboardInterrupt), gate.passage("b"):
        raise KeyboardInterrupt
    with gate.passage("c"):
        pass


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_a_dead_server_sees_few_requests_however_many_ask(
    server: FakeApiServer, connect: Callable[..., Api], jitter: float
) -> None:
    """Ten minutes of a controller that wants to list twice a second, and of two watches, in simulated time."""
    clock = Clock()
    began = clock.now
    api = connect(server.address, gate=Gate(clock, lambda: jitter))
    server.answer = lambda asked: Reply(fault="reset")
    sent: list[float] = []
    watches = {Watch(api, JOBS): began, Watch(api, PODS): began}
    while clock.now < began + 600:
        before = len(server.asked)
        with pytest.raises(Unreachable):
            api.list(JOBS)
        for watch, due in watches.items():
            if clock.now >= due:
                delay = watch.follow()
                assert delay >= 0.25
                watches[watch] = clock.now + delay
        sent += [clock.now - began] * (len(server.asked) - before)
        clock.now += 0.5
    assert len([at for at in sent if at <= 60]) <= 10
    late = [at for at in sent if at > 60]
    assert min(after - before for before, after in pairwise(late)) >= 14.5
    assert max(after - before for before, after in pairwise(late)) <= 31, "but it is not given up"


# The watch


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch whose stream is asked for and missed in a second."""
    monkeypatch.setattr(watch_module, "_SHORTEST", 1)
    monkeypatch.setattr(watch_module, "_LONGEST", 1)
    monkeypatch.setattr(watch_module, "_MARGIN", -0.6)


def test_a_watch_wakes_for_events_and_not_for_bookmarks(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: Events([event("BOOKMARK", 8), event("MODIFIED", 9)], pause=0.4)
    with Watch(api, JOBS, labels="x=y", version="7") as watch:
        assert not watch.wait(0.6)
        assert watch.age < 0.4
        assert watch.wait(5)
        assert not watch.wait(0.2)
    (asked,) = server.watches
    assert asked.query["resourceVersion"] == "7" and asked.query["labelSelector"] == "x=y"
    assert asked.query["allowWatchBookmarks"] == "true" and 240 <= int(asked.query["timeoutSeconds"]) <= 300


def test_a_burst_of_events_wakes_once_a_second(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: Events([event("MODIFIED", number) for number in range(2000)], pause=0.001)
    with Watch(api, JOBS) as watch:
        wakes = []
        until_when = time.monotonic() + 2.5
        while time.monotonic() < until_when:
            if watch.wait(0.3):
                wakes.append(time.monotonic())
        assert 2 <= len(wakes) <= 3
        assert all(after - before >= 0.99 for before, after in pairwise(wakes))


@pytest.mark.parametrize(
    "loss",
    [
        [{"type": "ERROR", "object": status(410, "too old resource version").body}],
        [b"\x00garbage"],
        [b"[]"],
        [{"type": "ADDED", "object": {}}],
        [{"type": "SURPRISE", "object": {"metadata": {"resourceVersion": "9"}}}],
    ],
)
def test_a_watch_that_loses_its_version_begins_anew_and_wakes(server: FakeApiServer, api: Api, loss: list[Any]) -> None:
    server.answer = in_turn(Events(loss), Events([]))
    with Watch(api, JOBS, version="7") as watch:
        assert watch.wait(5)
        wait_for(lambda: not watch.trouble)
    assert [asked.query.get("resourceVersion") for asked in server.watches] == ["7", None]


def test_a_version_that_is_too_old_from_the_start_is_forgotten(server: FakeApiServer, api: Api) -> None:
    server.answer = in_turn(status(410, "too old", "Expired"), Events([]))
    with Watch(api, JOBS, version="7") as watch:
        assert watch.wait(5)
    assert [asked.query.get("resourceVersion") for asked in server.watches] == ["7", None]


@pytest.mark.parametrize("then", ["end", "hang", "reset", "cut"])
@pytest.mark.usefixtures("quick")
def test_a_stream_that_ends_or_falls_silent_goes_on_from_where_it_was(
    server: FakeApiServer, api: Api, then: Any
) -> None:
    server.answer = in_turn(Events([event("MODIFIED", 9)], then), Events([event("MODIFIED", 10)]))
    with Watch(api, JOBS, version="7") as watch:
        wait_for(lambda: len(server.watches) >= 2)
        assert watch.wait(2)
    assert server.watches[1].query["resourceVersion"] == "9"
    assert api.unreachable_since is None, "a stream that breaks off says nothing about the server"


def test_a_version_that_yields_nothing_for_a_whole_stream_is_forgotten(
    server: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_LIVED", 0.0)
    server.answer = in_turn(Events([], "end"), Events([event("ADDED", 3)]))
    with Watch(api, JOBS, version="7") as watch:
        assert watch.wait(5)
        wait_for(lambda: watch.age < 1)
    assert [asked.query.get("resourceVersion") for asked in server.watches] == ["7", None]


def test_streams_that_do_not_last_are_not_asked_for_in_a_loop(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: Events([], "end") if asked.watch else listing()
    with Watch(api, JOBS, version="7"):
        for _ in range(20):
            api.list(JOBS)  # which opens the gate again and again
            time.sleep(0.1)
    assert len(server.watches) <= 4


def test_a_watch_that_gets_no_answer_keeps_nobody_from_listing(
    server: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy that holds streams back."""
    monkeypatch.setattr(connection_module, "READ_SECONDS", 0.2)
    server.answer = lambda asked: Reply(fault="hang") if asked.watch else listing()
    with Watch(api, JOBS) as watch:
        while len(server.watches) < 3:
            api.list(JOBS)
            time.sleep(0.01)
        assert "no answer comes in time" in watch.trouble
    assert api.unreachable_since is None


def test_a_watch_waits_while_the_server_fails(server: FakeApiServer, connect: Callable[..., Api]) -> None:
    clock = Clock()
    api = connect(server.address, gate=Gate(clock, lambda: 1.0))
    server.answer = in_turn(Reply(fault="reset"), listing(), Events([], "end"))
    watch = Watch(api, JOBS)
    with pytest.raises(Unreachable):
        api.list(JOBS)
    clock.now += 60  # the gate would let one request through; that is the next list
    assert watch.follow() == 1.0
    assert not server.watches
    api.list(JOBS)
    watch.follow()
    assert len(server.watches) == 1


def test_a_watch_that_is_not_allowed_says_so_and_raises_nothing(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: status(403, 'User "u" cannot watch resource "jobs"') if asked.watch else listing()
    with Watch(api, JOBS) as watch:
        assert not watch.wait(0.5)
        assert "'watch' on 'jobs' is required" in watch.trouble
        api.list(JOBS)
    assert len(server.watches) <= 3


@pytest.mark.parametrize("answer", [Events([]), Reply(fault="hang")])
def test_a_watch_ends_promptly(server: FakeApiServer, api: Api, answer: Reply | Events) -> None:
    def reply(asked: Asked) -> Reply | Events:
        return answer

    server.answer = reply
    with Watch(api, JOBS):
        wait_for(lambda: bool(server.watches))
        time.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < (0.5 if isinstance(answer, Events) else 1.5)


def test_a_waiting_controller_is_woken_by_the_end(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: Events([])
    watch = Watch(api, JOBS, version="7")
    with watch:
        waiter = threading.Thread(target=watch.wait, args=(20,))
        waiter.start()
        time.sleep(0.1)
    waiter.join(2)
    assert not waiter.is_alive()
