"""What the project takes from its process and the simulation gives it instead: time, chance, a client, a log."""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3

import jobs.runtime.task
import jobs.shards.s3
from jobs.runtime import diagnostics, log
from jobs.runtime.events import Event
from jobs.shards import records, strict_json
from jobs.shards.store import Store
from pipeline.maintenance import live_runs
from pipeline.planning import run_store
from tests.simulation import graph
from tests.simulation.s3 import Client
from tests.simulation.world import World


class _Current:
    """The world and the bucket that belong to it, exchanged for each schedule."""

    world: World
    client: Client
    root: Store
    numbers: int = 0


_NOW = _Current()


class _Time(SimpleNamespace):
    """Stands for the module `time`."""

    def time(self) -> float:
        return _NOW.world.now

    def monotonic(self) -> float:
        return _NOW.world.now

    def sleep(self, seconds: float) -> None:
        _NOW.world.sleep(seconds)

    def strftime(self, *_: Any) -> str:
        return ""


class _Random(SimpleNamespace):
    """Stands for the module `random`, where it only keeps others apart."""

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class _Uuid(SimpleNamespace):
    def uuid4(self) -> Any:
        _NOW.numbers += 1
        return SimpleNamespace(hex=f"{_NOW.numbers:016x}{0:016x}")


def enter(world: World, client: Client) -> None:
    """From now on what is patched belongs to this world."""
    _NOW.world, _NOW.client, _NOW.numbers = world, client, 0


def serve(root: Store) -> None:
    """What workers open, whatever the address."""
    _NOW.root = root


@contextmanager
def simulated() -> Iterator[None]:
    """Inside the block the project's modules see a simulated time, S3 client and log; `enter` says which world's."""
    stands_for = {id(time): _Time(), id(random): _Random(), id(uuid): _Uuid()}
    with_each: list[Any] = [
        patch.object(module, name, stands_for[id(value)])
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith(("jobs.", "pipeline."))
        for name, value in list(vars(module).items())
        if id(value) in stands_for
    ]
    others: list[Any] = [
        patch.object(boto3.session, "Session", lambda *_, **__: SimpleNamespace(client=lambda *_, **__: _NOW.client)),
        patch.object(log, "emit", _emit),
        patch.object(log, "note", lambda *_, **__: None),
        patch.object(log, "lines", lambda: "".join(_lines()).encode()),
        patch.object(log, "written", lambda: len(_lines())),
        patch.object(log, "progress", lambda *_, **__: None),
        patch.object(log, "working_on", lambda _: None),
        patch.object(diagnostics.Diagnostics, "shipping", _shipping),
        patch.object(jobs.runtime.task, "ending_when_stuck", lambda *_: nullcontext()),
        patch.object(jobs.runtime.task, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=15, SIG_IGN=1)),
        patch.object(jobs.runtime.task, "library_versions", dict),
        patch.object(jobs.runtime.task, "open_store", lambda *_, **__: _NOW.root),
        patch.object(run_store, "open_store", lambda *_, **__: _NOW.root),
        patch.object(jobs.runtime.task, "without_patience", lambda store: store),
        patch.object(graph, "salt", lambda _: ""),
        patch.object(graph, "linger", lambda: None),
        patch.object(records, "unseal", _unseal),
        patch.object(live_runs, "check_config", lambda values: graph.Config(**values)),
        *(
            patch.object(module, "ThreadPoolExecutor", _InTurn)
            for module in list(sys.modules.values())
            if getattr(module, "__name__", "").startswith(("jobs.", "pipeline."))
            and hasattr(module, "ThreadPoolExecutor")
        ),
    ]
    for one in (*with_each, *others):
        one.start()
    try:
        yield
    finally:
        for one in reversed((*with_each, *others)):
            one.stop()


@lru_cache(maxsize=4_096)
def _unseal(model: Any, data: bytes, where: str, kind: str) -> Any:
    """The real one, which gives equal and unchangeable values for equal bytes."""
    return strict_json.unseal(model, data, where, kind)


class _InTurn:
    """A pool that works in the actor's own thread, one after the other."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> _InTurn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


def _lines() -> list[str]:
    actor = _NOW.world.acting
    return actor.lines if actor else []


_READ = ("started", "committed", "finished", "failed", "exit")  # by whoever decides by a log


def _emit(event: Event) -> None:
    if event.event in _READ:
        values = {"time": _NOW.world.now, "event": event.event, **event.values}
        _lines().append(json.dumps(values) + "\n")


@contextmanager
def _shipping(self: diagnostics.Diagnostics) -> Iterator[None]:
    self.ship_log()
    try:
        yield
    finally:
        self.ship_log()
