"""What tests share: real S3 servers, stores in all places, and the data of ../shared."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from tests.s3_servers import CLUSTER, SHARED, new_bucket, running
from tests.s3_servers import whole_cluster_runs as whole_cluster_runs

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network fails, and at once
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


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
    with running("versitygw") as variables, pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        yield variables["AWS_ENDPOINT_URL"]


@pytest.fixture(scope="session")
def s3_bucket(s3_server: str) -> Iterator[S3Store]:
    """A bucket of this session's own."""
    with new_bucket() as store:
        yield store


@pytest.fixture
def s3_store(s3_bucket: S3Store) -> S3Store:
    """An empty store in a real bucket."""
    return s3_bucket.at(uuid.uuid4().hex)


@pytest.fixture(scope="session")
def _second_server() -> Iterator[tuple[str, S3Store]]:
    if not CLUSTER.exists():
        pytest.skip(f"needs a second S3 server, and there is no {CLUSTER} to start one")
    with running("seaweedfs") as variables, pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        bucket = new_bucket()
        store = bucket.__enter__()
        environment.undo()  # the session's own server is the other one
        yield variables["AWS_ENDPOINT_URL"], store
        bucket.__exit__(None, None, None)


@pytest.fixture
def seaweed_store(s3_server: str, _second_server: tuple[str, S3Store], monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """An empty store on another maker's S3, of which AWS_ENDPOINT_URL tells during the test."""
    address, bucket = _second_server
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    return bucket.at(uuid.uuid4().hex)


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    """An empty store in a folder."""
    return LocalStore(tmp_path / "store")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store of either kind."""
    one: Store = request.getfixturevalue(f"{request.param}_store")
    return one


@pytest.fixture(params=["local", "s3", "seaweed"])
def every_store(request: pytest.FixtureRequest) -> Store:
    """An empty store of each kind and server."""
    one: Store = request.getfixturevalue(f"{request.param}_store")
    return one


@pytest.fixture(params=["s3", "seaweed"])
def every_s3_store(request: pytest.FixtureRequest) -> S3Store:
    """An empty store on each S3 server; AWS_ENDPOINT_URL tells which."""
    one: S3Store = request.getfixturevalue(f"{request.param}_store")
    return one
