"""The doctor finds a store that keeps its promises healthy, and one that ignores a condition not."""

from __future__ import annotations

import os
import uuid

import pytest

from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from jobs.shards.store_checks import Check, examine
from tests.fakes.faulty_proxy import FaultyProxy


@pytest.fixture
def store(every_store: Store) -> Store:
    """On every server: what these tests say, the server has to do."""
    return every_store


def found(checks: list[Check]) -> dict[str, bool]:
    return {check.name: check.ok for check in checks}


def test_a_real_store_is_healthy_and_left_as_it_was(store: Store) -> None:
    store.create("before", b"x")
    checks = list(examine(store))
    assert all(check.ok for check in checks), checks
    assert len(checks) == (9 if isinstance(store, S3Store) else 4)
    assert [stat.name for stat in store.list("")] == ["before"]
    if isinstance(store, S3Store):
        assert "Uploads" not in store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=store.prefix)


@pytest.mark.parametrize(
    ("ignored", "unsafe"),
    [
        ("if-none-match", {"create only if absent", "create only if absent, in parts"}),
        ("if-match", {"replace only if unchanged", "replace only if unchanged, in parts", "resume a download"}),
        ("x-amz-meta-sha256", {"digest kept with the object"}),
        ("range", {"resume a download"}),
    ],
)
def test_a_server_that_ignores_a_header_is_found_out(
    s3_store: S3Store, monkeypatch: pytest.MonkeyPatch, ignored: str, unsafe: set[str]
) -> None:
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], strip=(ignored,)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        checks = list(examine(S3Store(s3_store.bucket, s3_store.prefix)))
    assert {check.name for check in checks if not check.ok} == unsafe
    assert list(s3_store.list("")) == [], "cleaned up although it failed"
    noted = next(check.detail for check in checks if not check.ok)
    assert s3_store.url in noted


def test_the_doctor_cleans_up_when_it_is_sent_away(store: Store) -> None:
    checks = examine(store)
    assert next(checks).ok
    assert next(checks).ok
    checks.close()  # type: ignore[attr-defined]
    assert list(store.list("")) == []


def test_without_a_bucket_there_is_one_clear_answer(every_s3_store: S3Store) -> None:
    (check,) = examine(S3Store(f"i2p-tests-{uuid.uuid4().hex[:12]}"))
    assert not check.ok
    assert "no such bucket" in check.detail
