"""A process in the sandbox is bounded, knows no secret, and its death costs one request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.errors import I2PError
from jobs.runtime.sandbox.landlock import confine
from jobs.runtime.sandbox.pool import Bounds, Pool, Refused

BOUNDS = Bounds(seconds=1.0, memory=200 << 20)
ENTRY = "tests.fakes.servers:misbehaving"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(ENTRY, {"a": 1}, BOUNDS, 1) as pool:
        yield pool


def served(pool: Pool) -> bool:
    return pool.ask({"do": "echo"}, b"x" * 3_000_000, most=3_000_000) == ({"settings": {"a": 1}}, b"x" * 3_000_000)


def test_a_request_is_answered(pool: Pool) -> None:
    assert served(pool)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"do": "spin"}, "took more than 1 s to decode"),
        ({"do": "grow", "size": 300 << 20}, "took more than 200 MiB to decode"),
        ({"do": "crash"}, "ended the process that decoded it"),
        ({"do": "fail"}, r"broke its decoder \(RuntimeError: a defect\)"),
        ({"do": "lie"}, "ended the process that decoded it"),
    ],
)
def test_what_takes_too_much_or_ends_its_process_is_refused_in_words_and_the_next_is_served(
    pool: Pool, request_: dict[str, object], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        pool.ask(request_, b"", most=1)
    assert served(pool)


def test_memory_within_the_bounds_is_given(pool: Pool) -> None:
    assert pool.ask({"do": "grow", "size": 100 << 20}, b"", most=1) == ({}, b"\0")


def test_it_sees_no_secret_and_reaches_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        secret.open(),
        Pool(ENTRY, {}, BOUNDS, 1) as fresh,
    ):
        noted, _ = fresh.ask({"do": "look", "file": str(secret), "port": server.getsockname()[1]}, b"", most=0)
    assert "secret" not in str(noted["environment"])
    assert len(noted["files"]) == 5, "standard input, output and error, all /dev/null, and two pipes"
    with ThreadPoolExecutor(1) as other:  # confined is a thread, of which nothing else is left
        if other.submit(confine).result():
            assert noted["reached"] == []


def test_several_threads_have_a_process_each() -> None:
    with Pool(ENTRY, {"a": 1}, BOUNDS, 2) as both, ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: served(both), range(8)))


@pytest.mark.parametrize("entry", ["tests.fakes.nowhere:misbehaving", "tests.fakes.servers:nothing", "os:abort"])
def test_where_no_process_can_start_no_request_is_blamed(entry: str) -> None:
    with Pool(entry, {}, BOUNDS, 1) as pool, pytest.raises(I2PError, match="a process to decode foreign bytes"):
        pool.ask({"do": "echo"}, b"", most=0)
