"""The same run on a real S3 server, and on one that fails now and then: the same digests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.catalog import STAGES
from jobs.shards.dataset import load_manifest
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from tests.e2e.runs import RUN, answer, i2p, manifest_digests
from tests.fakes.faulty_proxy import Fault, FaultyProxy

CHEAP = ("collect", "generate-prompts", "dedup", "generate-images", "submission")


@pytest.fixture
def bucket_run(undisturbed: Path, s3_store: S3Store) -> S3Store:
    """A run in a bucket whose quick stages are still to be done; the others came from the undisturbed run."""
    for stat in LocalStore(undisturbed / RUN).list(""):
        if not stat.name.startswith(tuple(f"{stage}/" for stage in CHEAP)) and "/" in stat.name:
            s3_store.at(RUN).create(stat.name, (undisturbed / RUN / stat.name).read_bytes())
    return s3_store


def digests(run: S3Store) -> dict[str, str]:
    found = {spec.name: load_manifest(run.at(spec.name)) for spec in STAGES}
    return {name: manifest.digest for name, manifest in found.items() if manifest}


def test_a_run_in_a_bucket_has_the_digests_of_the_local_one(undisturbed: Path, bucket_run: S3Store) -> None:
    said = i2p(bucket_run.url, "run").stdout
    assert f"{bucket_run.url}/{RUN}/report.html" in said
    assert digests(bucket_run.at(RUN)) == manifest_digests(undisturbed)
    assert bucket_run.at(RUN).read("submission.csv").data == (undisturbed / RUN / "submission.csv").read_bytes()
    assert {row["action"] for row in answer(bucket_run.url, "plan")} == {"skip"}
    i2p(bucket_run.url, "verify")


def test_one_fault_in_twenty_requests_changes_nothing(
    undisturbed: Path, bucket_run: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Fault] = ["500", "503", "reset-up", "reset-down"]
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], rate=0.05, seed=3, faults=faults) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        i2p(bucket_run.url, "run")
        assert sum(proxy.injected.values()) > 5
    assert digests(bucket_run.at(RUN)) == manifest_digests(undisturbed)


def test_sources_are_read_from_a_bucket(s3_store: S3Store) -> None:
    s3_store.create("prompts/a.txt", b"a cat\na dog\n")
    source = f"collect.sources=[{{kind: text, name: a, path: '{s3_store.url}/prompts/*.txt'}}]"
    rows = answer(s3_store.url, "plan", "--set", source)
    assert (rows[0]["stage"], rows[0]["shard"], rows[0]["action"]) == ("collect", "a", "run")
