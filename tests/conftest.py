"""What tests share: a real S3 server, stores in both places, and the data of ../shared."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest

from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network fails, and at once
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

SHARED = Path(__file__).resolve().parents[2] / "shared"
CLUSTER = SHARED / "kube" / "cluster"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real prompts and images."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs the data in {SHARED / 'data'}, which is not here")
    return SHARED / "data"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a real S3 server; the AWS_* variables of this process are set for it."""
    if address := os.environ.get("AWS_ENDPOINT_URL"):
        yield address
        return
    if not CLUSTER.exists():
        pytest.skip(f"needs an S3 server: AWS_ENDPOINT_URL is not set, and there is no {CLUSTER} to start one")
    settings = _cluster_settings()
    with _server_in_use(settings["S3_ENDPOINT"]), pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            environment.setenv(name, settings[name])
        environment.setenv("AWS_ENDPOINT_URL", settings["S3_ENDPOINT"])
        yield settings["S3_ENDPOINT"]


@pytest.fixture(scope="session")
def s3_bucket(s3_server: str) -> Iterator[S3Store]:
    """A bucket of this session's own."""
    store = S3Store(f"i2p-tests-{uuid.uuid4().hex[:12]}")
    store.client.create_bucket(Bucket=store.bucket)
    yield store
    for stat in store.list(""):
        store.delete(stat.name)
    store.sweep(older_than_seconds=0)
    store.client.delete_bucket(Bucket=store.bucket)


@pytest.fixture
def s3_store(s3_bucket: S3Store) -> S3Store:
    """An empty store in a real bucket."""
    return s3_bucket.at(uuid.uuid4().hex)


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    """An empty store in a folder."""
    return LocalStore(tmp_path / "store")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store of either kind."""
    one: Store = request.getfixturevalue(f"{request.param}_store")
    return one


def _cluster_settings() -> dict[str, str]:
    text = subprocess.run([CLUSTER, "env"], check=True, capture_output=True, text=True).stdout
    return dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)


@contextmanager
def _server_in_use(address: str) -> Iterator[None]:
    """Start the cluster's S3 server unless it runs; the last session that uses it stops it if a session started it.

    Sessions, also of pytest-xdist's workers, hold a shared lock while they use it. Locks end with their processes, so
    a killed session neither keeps the server alive nor takes it from others.
    """
    folder = Path(tempfile.gettempdir()) / f"i2p-tests-s3-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    started_by_tests = folder / "started"
    with (folder / "users").open("ab") as users:
        with _locked(folder / "transition"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _answers(address):
                subprocess.run([CLUSTER, "s3"], check=True, capture_output=True, timeout=60)
                started_by_tests.touch()
        try:
            yield
        finally:
            with _locked(folder / "transition"):
                fcntl.flock(users, fcntl.LOCK_UN)
                if started_by_tests.exists() and _is_last(users):
                    started_by_tests.unlink()
                    if not whole_cluster_runs():
                        subprocess.run([CLUSTER, "kill", "s3"], check=True, capture_output=True, timeout=60)


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


def whole_cluster_runs() -> bool:
    """Whether more of the cluster runs than its S3 server."""
    state = Path(os.environ.get("TEST_CLUSTER_STATE") or Path.home() / ".cache" / "test-cluster")
    others = [path for path in (state / "run").glob("*.pid") if path.stem != "s3"]
    return any(Path("/proc", *path.read_text().split()[:1]).exists() for path in others if path.read_text().strip())
