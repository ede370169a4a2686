"""A process in the sandbox is bounded, knows no secret, and its death costs one request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.errors import I2PError
from jobs.runtime.sandbox.landlock import confine
from jobs.runtime.sandbox.pool import Bounds, Pool, Refused
from tests.fakes.servers import MISBEHAVING, Answer, Done, Echo, Request, Seen, Settings

BOUNDS = Bounds(seconds=1.0, memory=200 << 20)
SETTINGS = Settings(a=1)

Misbehaving = Pool[Settings, Request, Answer]


@pytest.fixture(scope="module")
def pool() -> Iterator[Misbehaving]:
    with Pool(MISBEHAVING, SETTINGS, BOUNDS, 1) as pool:
        yield pool


def served(pool: Misbehaving) -> bool:
    data = b"x" * 3_000_000
    return pool.ask(Request(do="echo"), data, most=len(data)) == (Echo(settings=SETTINGS), data)


def test_a_request_is_answered(pool: Misbehaving) -> None:
    assert served(pool)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(do="spin"), "took more than 1 s to decode"),
        (Request(do="grow", size=300 << 20), "took more than 200 MiB to decode"),
        (Request(do="crash"), "ended the process that decoded it"),
        (Request(do="fail"), r"broke its decoder \(RuntimeError: a defect\)"),
        (Request(do="lie"), "ended the process that decoded it"),
        (Request(do="mistake"), "ended the process that decoded it"),
    ],
)
def test_what_takes_too_much_or_ends_its_process_is_refused_in_words_and_the_next_is_served(
    pool: Misbehaving, request_: Request, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        pool.ask(request_, b"", most=1)
    assert served(pool)


def test_memory_within_the_bounds_is_given(pool: Misbehaving) -> None:
    assert pool.ask(Request(do="grow", size=100 << 20), b"", most=1) == (Done(), b"\0")


def test_it_sees_no_secret_and_reaches_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        secret.open(),
        Pool(MISBEHAVING, SETTINGS, BOUNDS, 1) as fresh,
    ):
        seen, _ = fresh.ask(Request(do="look", file=str(secret), port=server.getsockname()[1]), b"", most=0)
    assert isinstance(seen, Seen)
    assert "secret" not in str(seen.environment)
    assert len(seen.files) == 5, "standard input, output and error, all /dev/null, and two pipes"
    with ThreadPoolExecutor(1) as other:  # confined is a thread, of which nothing else is left
        if other.submit(confine).result():
            assert seen.reached == []


def test_several_threads_have_a_process_each() -> None:
    with Pool(MISBEHAVING, SETTINGS, BOUNDS, 2) as both, ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: served(both), range(8)))


@pytest.mark.parametrize("server", ["tests.fakes.nowhere:SERVER", "tests.fakes.servers:NOTHING", "os:abort"])
def test_where_no_process_can_start_no_request_is_blamed(server: str) -> None:
    service = replace(MISBEHAVING, server=server)
    with (
        Pool(service, SETTINGS, BOUNDS, 1) as pool,
        pytest.raises(I2PError, match="a process to decode foreign bytes cannot start"),
    ):
        pool.ask(Request(do="echo"), b"", most=0)
