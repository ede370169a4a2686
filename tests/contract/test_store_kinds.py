"""What is particular to a folder and to a bucket: addresses, refusals, speed, uploads in parts."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.errors import BadConfiguration, I2PError, StoreError
from jobs.shards.address import normalised, open_file, open_store
from jobs.shards.digests import sha256
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from tests.s3_servers import server_of
from tests.samples import noise


def names(store: Store, prefix: str = "") -> list[str]:
    return [stat.name for stat in store.list(prefix)]


def test_a_local_listing_of_ten_thousand_is_quick(local_store: LocalStore) -> None:
    for folder in range(10):
        (local_store.root / f"stage-{folder}").mkdir(parents=True)
        for number in range(1000):
            (local_store.root / f"stage-{folder}" / f"{number:05d}.tar").touch()
    seconds = []
    for _ in range(3):
        started = time.process_time()  # tests run beside each other: what they wait for each other does not count
        assert len(names(local_store)) == 10_000
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.2


def test_a_local_object_cannot_be_where_a_folder_is_or_below_a_file(local_store: LocalStore) -> None:
    local_store.create("folder/name", b"x")
    with pytest.raises(StoreError, match="a folder of that name"):
        local_store.create("folder", b"x")
    with pytest.raises(StoreError, match="is a file"):
        local_store.create("folder/name/deeper", b"x")
    assert names(local_store) == ["folder/name"]


@pytest.mark.parametrize(
    ("reason", "kind"), [(errno.EACCES, BadConfiguration), (errno.EROFS, BadConfiguration), (errno.EIO, StoreError)]
)
def test_a_local_disk_that_refuses_is_reported(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch, reason: int, kind: type[I2PError]
) -> None:
    def link(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(kind, match=os.strerror(reason)):
        local_store.create("name", b"x")
    assert names(local_store) == []


def test_addresses() -> None:
    local = open_store("some/folder")
    assert isinstance(local, LocalStore)
    assert (local.url, local.at("a").url) == ("some/folder", "some/folder/a")
    store, name = open_file("/some/folder/file.csv")
    assert (store.url, name) == ("/some/folder", "file.csv")
    assert (open_file("file.csv")[0].url, open_file("/file.csv")[0].url) == (".", "/")
    for url in ("", "s3://", "s3:///prefix", "s3:bucket", "gs://bucket", "https://host/bucket"):
        with pytest.raises(BadConfiguration, match="a folder or s3://BUCKET/PREFIX"):
            open_store(url)
    with pytest.raises(BadConfiguration):
        open_file("s3://bucket")


@pytest.mark.parametrize(
    ("url", "one_way"),
    [
        ("s3://runs/", "s3://runs"),
        ("s3://runs//a///b/", "s3://runs/a/b"),
        ("s3://runs/a", "s3://runs/a"),
        ("runs/", "runs"),
        ("./runs//a/", "runs/a"),
        ("/runs/", "/runs"),
        ("../runs", "../runs"),
        ("gs://x//", "gs://x//"),
        ("", ""),
    ],
)
def test_an_address_is_written_one_way(url: str, one_way: str) -> None:
    assert normalised(url) == one_way == normalised(one_way)


def test_addresses_of_buckets(s3_bucket: S3Store) -> None:
    store = open_store(f"s3://{s3_bucket.bucket}/some/prefix/")
    assert store.url == f"s3://{s3_bucket.bucket}/some/prefix"
    assert store.create("name", b"x")
    assert names(s3_bucket, "some/prefix/") == ["some/prefix/name"]
    whole, name = open_file(f"s3://{s3_bucket.bucket}/some/prefix/name")
    assert whole.read(name).data == b"x"
    top = open_store(f"s3://{s3_bucket.bucket}")
    assert (top.url, names(top, "some/")) == (f"s3://{s3_bucket.bucket}", ["some/prefix/name"])
    assert names(top.at("some")) == ["prefix/name"]


def test_s3_settings_that_cannot_work_are_reported(s3_bucket: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = S3Store(f"i2p-tests-{uuid.uuid4().hex[:12]}")
    asks: list[Callable[[], object]] = [
        lambda: nowhere.read("x"),
        lambda: nowhere.create("x", b""),
        lambda: names(nowhere),
    ]
    for ask in asks:
        with pytest.raises(BadConfiguration, match="no such bucket"):
            ask()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(BadConfiguration, match="may not do this"):
        S3Store(s3_bucket.bucket).create("x", b"")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")
    with pytest.raises(BadConfiguration, match="not an address"):
        S3Store(s3_bucket.bucket)
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(BadConfiguration, match="missing"):
        S3Store(s3_bucket.bucket)
    monkeypatch.delenv("AWS_PROFILE")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(BadConfiguration, match="no credentials"):
        S3Store(s3_bucket.bucket).read("x")


def test_what_is_known_of_a_server_that_differs_from_s3(
    every_s3_store: S3Store, request: pytest.FixtureRequest
) -> None:
    server, store = server_of(request), every_s3_store
    store.create("back\\slash", b"x")
    assert names(store) == ["back\\slash" if server.keeps_backslashes else "back/slash"]
    for name in ("in/a/b", "in/a b"):
        store.create(name, b"x")
    if server.sorts_by_byte:
        assert names(store, "in/") == ["in/a b", "in/a/b"]
    else:
        with pytest.raises(StoreError, match="in the order of UTF-8, is required"):
            names(store, "in/")


def test_a_large_object_goes_up_in_parts_and_comes_back(s3_store: S3Store) -> None:
    s3_store.part_size = 5 << 20
    body = noise(2 * s3_store.part_size + 1)
    assert s3_store.create("large", io.BytesIO(body))
    assert s3_store.version("large").endswith('-3"'), "S3 marks what came in three parts"
    assert s3_store.read("large").data == body
    assert s3_store.create("large", body)
    assert not s3_store.create("large", body[:-1] + b"x")
    assert not s3_store.replace("large", body[::-1], version='"stale"')
    assert s3_store.replace("large", body[::-1], version=s3_store.version("large"))
    assert s3_store.read("large").data == body[::-1]


def test_of_many_creators_in_parts_one_wins(s3_store: S3Store) -> None:
    s3_store.part_size = 5 << 20
    together = threading.Barrier(3)

    def go(writer: int) -> bool:
        body = noise(s3_store.part_size + 1, writer)
        together.wait()
        return s3_store.create("large", body)

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(go, range(3)))
    assert sum(won) == 1
    assert s3_store.read("large").data == noise(s3_store.part_size + 1, won.index(True))
    assert "Uploads" not in s3_store.client.list_multipart_uploads(Bucket=s3_store.bucket, Prefix=s3_store.prefix)


def test_sweeping_a_bucket_aborts_old_uploads_only(s3_store: S3Store) -> None:
    client, target = s3_store.client, s3_store.target("large")
    client.create_multipart_upload(**target)
    ours = {"Bucket": s3_store.bucket, "Prefix": s3_store.prefix}
    s3_store.sweep()
    assert len(client.list_multipart_uploads(**ours)["Uploads"]) == 1
    s3_store.sweep(older_than_seconds=0)
    assert "Uploads" not in client.list_multipart_uploads(**ours)


def test_an_object_of_another_tool_is_settled_by_reading_it(s3_store: S3Store) -> None:
    s3_store.client.put_object(**s3_store.target("foreign"), Body=b"bytes")
    assert s3_store.holds("foreign", size=5, sha256=sha256(b"bytes"))
    assert not s3_store.holds("foreign", size=5, sha256=sha256(b"other"))
    assert s3_store.create("foreign", b"bytes")
    assert not s3_store.create("foreign", b"other")
