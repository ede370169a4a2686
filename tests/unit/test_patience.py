"""How a store waits while its service is away, in virtual time."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass, field

import pytest

from jobs.errors import BadConfiguration, StoreError
from jobs.runtime.environment import INVOCATION_VARIABLE, PATIENCE_VARIABLE, TASK_VARIABLE, store_patience
from jobs.shards import patience
from jobs.shards.patience import Patience, give_up


@dataclass
class Clock:
    """Time that only sleeping moves on."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(patience, "time", one)
    monkeypatch.setattr(patience._Process, "stopping", False)
    return one


AWAY = StoreError("nobody answers")


def test_without_patience_the_error_comes_at_once(clock: Clock) -> None:
    with pytest.raises(StoreError) as raised, Patience(0).waiting("s3://bucket/name") as wait:
        wait.out(AWAY)
    assert raised.value is AWAY and not clock.slept


def test_pauses_grow_to_half_a_minute_and_end_with_the_patience(clock: Clock) -> None:
    pauses, before = [], clock.now
    with pytest.raises(StoreError) as raised, Patience(600).waiting("name") as wait:
        while True:
            began = clock.now
            wait.out(AWAY)
            pauses.append(clock.now - began)
    assert raised.value is AWAY
    assert clock.now == pytest.approx(before + 600)
    assert 0.5 <= pauses[0] <= 1 and 15 <= max(pauses) <= 30
    assert 20 <= len(pauses) <= 50, "a server that comes back is not asked by all at once, nor left alone for long"


def test_after_an_answer_the_whole_patience_is_there_again(clock: Clock) -> None:
    with Patience(10).waiting("name") as wait:
        for _ in range(5):
            wait.out(AWAY)
            clock.now += 9
            wait.end()


def test_an_outage_is_reported_when_it_begins_and_when_it_ends(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    shared = Patience(100)
    with caplog.at_level(logging.WARNING), shared.waiting("one") as one, shared.waiting("other") as other:
        for _ in range(3):
            one.out(AWAY)
            other.out(AWAY)
        one.end()
    first, last = [record.getMessage() for record in caplog.records]
    assert first == "one is away, trying again for up to 100 s: nobody answers"
    assert last.startswith("other goes on after ")


def test_a_process_that_was_asked_to_stop_waits_no_more(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked_to_stop_after_a_while(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 1020:
            give_up()

    monkeypatch.setattr(clock, "sleep", asked_to_stop_after_a_while)
    with pytest.raises(StoreError), Patience(3600).waiting("name") as wait:
        while True:
            wait.out(AWAY)
    assert clock.now < 1022


def test_a_copy_for_another_process_is_as_patient_and_waits_for_itself(clock: Clock) -> None:
    one = Patience(7)
    with one.waiting("name") as wait:
        wait.out(AWAY)
        again = pickle.loads(pickle.dumps(one))  # noqa: S301, what was dumped just here
    assert again.seconds == 7


def test_workers_wait_for_an_hour_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TASK_VARIABLE, raising=False)
    monkeypatch.setenv(PATIENCE_VARIABLE, "2.5")
    assert store_patience() == 0
    monkeypatch.delenv(PATIENCE_VARIABLE)
    for variable in (TASK_VARIABLE, INVOCATION_VARIABLE):  # a worker, and a controller in the cluster
        with monkeypatch.context() as environment:
            environment.setenv(variable, "{}")
            assert store_patience() == 3600
    monkeypatch.setenv(TASK_VARIABLE, "{}")
    monkeypatch.setenv(PATIENCE_VARIABLE, "2.5")
    assert store_patience() == 2.5
    for wrong in ("", "an hour", "-1", "nan", "inf"):
        monkeypatch.setenv(PATIENCE_VARIABLE, wrong)
        with pytest.raises(BadConfiguration, match="seconds are required"):
            store_patience()
