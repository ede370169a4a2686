"""A run's way to its bucket is cut in the middle: workers wait, no retry is used, and it comes out the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobs.runtime.environment import PATIENCE_VARIABLE
from jobs.shards.store import ObjectStat
from pipeline.executors.kubernetes import labels, reasons
from tests.cluster.collecting import SLOW, grammars
from tests.cluster.commands import i2p
from tests.cluster.conftest import Cluster
from tests.cluster.controllers import DisturbedRun, Runs
from tests.cluster.graph import digests
from tests.e2e.runs import RUN, manifest_digests
from tests.fakes.relay import Relay
from tests.waiting import wait_for

FIRST = ("collect", "generate-prompts")
OUTAGE_SECONDS = float(os.environ.get("I2P_TESTS_OUTAGE_SECONDS", "60"))  # 900 was tried by hand


@pytest.fixture
def road(cluster: Cluster) -> Iterator[Relay]:
    """A way to the S3 server that only the test's own controllers and Pods take."""
    if not cluster.own:
        pytest.skip("Pods take a way to S3 through this machine, which those of somebody's own cluster may not reach")
    server = urlsplit(os.environ["S3_ENDPOINT"])
    with Relay((server.hostname or "", server.port or 80), "0.0.0.0") as relay:  # noqa: S104 - Pods come from outside
        yield relay


def logs_of(run: DisturbedRun) -> list[ObjectStat]:
    """What the workers of the first stage have left so far."""
    return list(run.bucket.at(RUN).at("collect").list("logs/"))


def test_a_bucket_that_is_away_for_long_costs_no_retry_and_workers_without_patience_another_generation(
    new_run: Runs, cluster: Cluster, road: Relay, tmp_path: Path
) -> None:
    """Two runs in one outage, without any retries. It lasts until the workers of the impatient one have failed, as all
    did that had no patience, and for `OUTAGE_SECONDS` at least.
    """
    host = urlsplit(cluster.endpoint_in_pods).hostname
    env = {"AWS_ENDPOINT_URL": f"http://{host}:{road.port}", "AWS_DEFAULT_REGION": "us-east-1"}
    parameters = {"collect": {"sources": grammars(SLOW, SLOW, SLOW, SLOW), "max_characters": 19}}
    sizes = {stage: {"parallelism": 2, "retries": 0} for stage in FIRST}
    patient, impatient = (
        new_run(tmp_path / "alone", stages=FIRST, parameters=parameters, sizes=sizes, settings={"env": env | more})
        for more in ({}, {PATIENCE_VARIABLE: "0"})
    )
    i2p(patient.preset, "run", "--executor", "local", "--set", f"store={patient.reference}", seconds=600)
    here = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{road.port}"}
    with patient.controller(**here) as controller, impatient.controller(**here) as other:
        for run in (patient, impatient):
            wait_for(partial(logs_of, run), 120, "a worker to begin")
        road.refuse()
        began = time.monotonic()
        wait_for(lambda: failed(impatient), 400, "workers to give up")
        gave_up = time.monotonic() - began
        time.sleep(max(0.0, OUTAGE_SECONDS - gave_up))
        assert not failed(patient), patient.said()
        road.pass_on()
        lasted = time.monotonic() - began
        for one in (controller, other):
            one.says("goes on after", 90)
            one.finishes(400)
    print(f"S3 was away for {lasted:.0f} s; without patience and retries a Job failed after {gave_up:.0f} s")
    patient.is_as_if_undisturbed(*FIRST)
    assert [pod for pod in patient.pods() if pod["status"]["phase"] == "Failed"] == []
    assert "the store" not in patient.said()
    assert digests(impatient.bucket.at(RUN)) == manifest_digests(impatient.reference), impatient.said()
    assert {job["metadata"]["labels"][labels.GENERATION] for job in impatient.jobs()} >= {"1", "2"}


def failed(run: DisturbedRun) -> list[dict[str, Any]]:
    """The Jobs of a run that have failed."""
    return [job for job in run.jobs() if reasons.condition(job, labels.FAILED)]
