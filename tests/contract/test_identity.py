"""A store is proved once for each way to it, which is noted; one that ignores a condition is refused at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.errors import BAD_CONFIGURATION, BadConfiguration
from jobs.shards.identity import NAME, Identity, identity_check, proved, read_identity
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from pipeline.__main__ import main
from tests.fakes.faulty_proxy import FaultyProxy


def names(store: Store) -> list[str]:
    return [stat.name for stat in store.list("")]


def test_the_first_use_proves_the_store_and_notes_it(store: Store) -> None:
    assert read_identity(store) is None
    assert "the first run proves the store" in identity_check(store).detail
    found = proved(store)
    assert names(store) == [NAME], "nothing else is left"
    assert found == read_identity(store) == proved(store)
    assert store.endpoint in found.proved
    assert found.id in identity_check(store).detail


def test_what_was_noted_costs_one_request(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        store = S3Store(s3_store.bucket, s3_store.prefix)
        proved(store)
        proxy.seen.clear()
        proved(store)
        assert [(one.method, one.path.rpartition("/")[2]) for one in proxy.seen] == [("GET", NAME)]


def test_two_ways_to_one_store_find_one_store(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = proved(s3_store)
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address.replace("//", "//user:secret@"))
        by_proxy = S3Store(s3_store.bucket, s3_store.prefix)
        assert "not proved by way of" in identity_check(by_proxy).detail
        second = proved(by_proxy)
    assert second.id == first.id
    assert set(second.proved) == {os.environ["AWS_ENDPOINT_URL"].replace("user:secret@", ""), s3_store.endpoint}


def test_two_stores_of_one_address_are_two(store: Store) -> None:
    first = proved(store)
    store.delete(NAME)  # as on another server
    assert proved(store).id != first.id


def test_those_that_are_first_at_once_agree(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: proved(store), range(4)))
    assert len({one.id for one in found}) == 1
    assert read_identity(store) == found[0]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b'{"id": "x"}',
        b'{"format": 2, "id": "0123456789abcdef", "proved": {}}',
        b"\xff",
        b"[" * 10_000,
        b'{"format": 1, "id": "0123456789abcdef", "proved": {"e": NaN}}',
    ],
)
def test_a_damaged_note_is_replaced(local_store: Store, damaged: bytes) -> None:
    local_store.create(NAME, damaged)
    assert read_identity(local_store) is None
    assert proved(local_store) == read_identity(local_store)


@pytest.mark.parametrize(
    ("ignored", "noted"),
    [("if-none-match", "create only if absent: .* writers"), ("if-match", "replace only if unchanged: .*")],
)
def test_a_server_that_ignores_a_condition_is_refused_and_nothing_is_noted(
    s3_store: S3Store, monkeypatch: pytest.MonkeyPatch, ignored: str, noted: str
) -> None:
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], strip=(ignored,)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        with pytest.raises(BadConfiguration, match=noted) as raised:
            proved(S3Store(s3_store.bucket, s3_store.prefix))
    assert "use another server or bucket" in str(raised.value)
    assert names(s3_store) == []


@pytest.mark.parametrize("command", ["run", "batch"])
def test_nothing_runs_on_a_store_that_ignores_a_condition(
    s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], strip=("if-none-match",)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        settings = [f"store={s3_store.url}", f"infer.images={tmp_path}"]
        options = [word for setting in settings for word in ("--set", setting)]
        assert main([command, "--preset", "demo", *options]) == BAD_CONFIGURATION
    assert "create only if absent" in capsys.readouterr().err
    assert names(s3_store) == []


def test_an_identity_is_strict() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Identity(id="not hexadecimal!")
