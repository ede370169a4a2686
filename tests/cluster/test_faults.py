"""Parts of the cluster that all use stop in the middle of a run, which goes on and comes out the same."""

from __future__ import annotations

import signal
import time
from typing import Any

from pipeline.executors.kubernetes import labels
from tests.cluster.commands import i2p
from tests.cluster.conftest import Cluster
from tests.cluster.controllers import MADE, DisturbedRun, Runs, signal_worker
from tests.waiting import wait_for

STOPS_WHAT_OTHERS_USE = True  # so that these tests have the cluster for themselves, see conftest.py
MINUTE = 60.0


def test_an_api_server_that_is_frozen_for_a_minute(half_run: Runs, cluster: Cluster) -> None:
    run = half_run()
    with run.controller() as controller:
        wait_for(run.jobs, 60, "the first Job")
        thaws = time.monotonic() + MINUTE
        cluster.fault("stop", "apiserver")
        try:
            controller.says("Jobs go on, trying again", 30)
            controller.lives(thaws - time.monotonic())
        finally:
            cluster.fault("start", "apiserver")
        controller.says("goes on after", 60)
        controller.finishes(200)
    run.is_as_if_undisturbed(*MADE)


def test_an_etcd_that_is_killed_and_started_again(half_run: Runs, cluster: Cluster) -> None:
    run = half_run()
    with run.controller() as controller:
        wait_for(run.jobs, 60, "the first Job")
        cluster.fault("kill", "etcd")
        try:
            controller.says("Jobs go on, trying again", 60)
        finally:
            cluster.fault("start", "etcd")
        controller.says("goes on after", 90)
        controller.finishes(200)
    run.is_as_if_undisturbed(*MADE)


def test_a_node_that_is_powered_off_is_reported_and_released_and_its_indexes_start_elsewhere(
    half_run: Runs, cluster: Cluster
) -> None:
    """The worker is frozen first, so that it is in the middle of its work for certain when the power goes."""
    sizes = {"generate-images": {"grace_seconds": 5, "parallelism": 2}}
    run = half_run(sizes=sizes, settings={"node_lost_seconds": 5})
    with run.controller() as controller:
        pod: Any = wait_for(lambda: caught(cluster, run, "generate-images"), 120, "a Pod of generate-images to freeze")
        node = pod["spec"]["nodeName"]
        cluster.fault("poweroff", node)
        try:
            controller.says(f"hangs on node {node}, which does not answer", 150)
            assert f"`i2p release {node}` lets its indexes start elsewhere" in i2p(run.preset, "status").stdout
            assert controller.alive
            assert pod["metadata"]["name"] in i2p(run.preset, "release", node).stdout
            controller.finishes(200)
            run.is_as_if_undisturbed(*MADE)
        finally:
            cluster.fault("up", "2")


def caught(cluster: Cluster, run: DisturbedRun, stage: str) -> dict[str, Any] | None:
    """A Pod of the stage whose worker is frozen now."""
    pods = [pod for pod in run.pods() if pod["metadata"]["labels"][labels.STAGE] == stage]
    return next((pod for pod in pods if signal_worker(cluster, pod, signal.SIGSTOP)), None)
