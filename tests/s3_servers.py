"""The real S3 servers of tests, by two different makers, started when needed: what holds on both holds on S3."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from jobs.shards.s3 import S3Store

SHARED = Path(__file__).resolve().parents[2] / "shared"
CLUSTER = SHARED / "kube" / "cluster"
_SERVERS = {"versitygw": ("s3", "S3_ENDPOINT"), "seaweedfs": ("seaweed", "SEAWEED_ENDPOINT")}
SERVERS = tuple(_SERVERS)


@contextmanager
def running(server: str) -> Iterator[dict[str, str]]:
    """The AWS_* variables for a server, started unless it runs; the last session that uses it stops it if a session
    started it.

    Sessions, also of pytest-xdist's workers, hold a shared lock while they use it. Locks end with their processes, so
    a killed session neither keeps the server alive nor takes it from others.
    """
    process, endpoint = _SERVERS[server]
    address = _settings()[endpoint]
    folder = Path(tempfile.gettempdir()) / f"i2p-tests-{process}-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    started_by_tests = folder / "started"
    with (folder / "users").open("ab") as users:
        with _locked(folder / "transition"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _answers(address):
                subprocess.run([CLUSTER, process], check=True, capture_output=True, timeout=90)
                started_by_tests.touch()
        try:
            secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
            yield {name: _settings()[name] for name in secrets} | {"AWS_ENDPOINT_URL": address}
        finally:
            with _locked(folder / "transition"):
                fcntl.flock(users, fcntl.LOCK_UN)
                if started_by_tests.exists() and _is_last(users):
                    started_by_tests.unlink()
                    if not whole_cluster_runs():
                        subprocess.run([CLUSTER, "kill", process], check=True, capture_output=True, timeout=60)


@contextmanager
def new_bucket() -> Iterator[S3Store]:
    """A bucket on the server of the environment, gone afterwards."""
    store = S3Store(f"i2p-tests-{uuid.uuid4().hex[:12]}")
    store.client.create_bucket(Bucket=store.bucket)
    yield store
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda stat: store.delete(stat.name), store.list("")))
    store.sweep(older_than_seconds=0)
    store.client.delete_bucket(Bucket=store.bucket)


def whole_cluster_runs() -> bool:
    """Whether more of the cluster runs than its S3 servers."""
    state = Path(os.environ.get("TEST_CLUSTER_STATE") or Path.home() / ".cache" / "test-cluster")
    alone = {process for process, _ in _SERVERS.values()}
    others = [path for path in (state / "run").glob("*.pid") if path.stem not in alone]
    return any(Path("/proc", *path.read_text().split()[:1]).exists() for path in others if path.read_text().strip())


@cache
def _settings() -> dict[str, str]:
    text = subprocess.run([CLUSTER, "env"], check=True, capture_output=True, text=True).stdout
    return dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)


def _is_last(users: BinaryIO) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5).close()
    except OSError:
        return False
    return True
