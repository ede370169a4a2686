"""Parts of the cluster stop answering in the middle of a run, which goes on and comes out the same."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline import explain, labels
from tests.cluster.commands import i2p
from tests.cluster.conftest import Cluster
from tests.cluster.controllers import DisturbedRun, Runs, signal_worker
from tests.fakes.wire import Wire
from tests.waiting import wait_for

LOOK_SECONDS = 5.0  # between two looks of a controller whose watch tells it nothing
MINUTE = 60.0
GIVEN = ("embed", "dedup", "train", "evaluate", "infer")  # what the bucket has from the beginning: the slow stages
MADE = ("collect", "generate-prompts", "generate-images", "submission")


@pytest.fixture
def new_run(new_run: Runs) -> Runs:
    """Makes a run whose quick stages are still to be made."""
    return lambda **options: new_run(**options).begins_with(*GIVEN)


@pytest.fixture
def wire(cluster: Cluster) -> Iterator[Wire]:
    """A way to the API server that only the test's own controller takes."""
    with Wire() as wire:
        yield wire


def test_a_watch_that_goes_silent_costs_no_more_than_the_wait_between_two_looks(
    new_run: Runs, wire: Wire, tmp_path: Path
) -> None:
    run = new_run()
    with run.controller(KUBECONFIG=wire.kubeconfig_in(tmp_path)) as controller:
        wait_for(lambda: wire.watching, 60, "the controller to watch")
        wire.state = "watches-silent"
        controller.finishes(200)
    assert wire.lost > 0, "the watch had nothing to tell, and nothing was tested"
    run.is_as_if_undisturbed(*MADE)
    for stage, seconds in noticed_after(run).items():
        assert seconds < LOOK_SECONDS + 3, f"{stage}: {run.said()}"


def noticed_after(run: DisturbedRun) -> dict[str, float]:
    """By stage the seconds between the end of its Job and the controller's word of it, each of them rounded."""
    found = {}
    for job in run.jobs():
        stage = job["metadata"]["labels"][labels.STAGE]
        told = re.search(rf"(\d\d:\d\d:\d\d)  {stage} +done", run.said())
        assert told, run.said()
        ended = datetime.fromtimestamp(explain.timestamp(job["status"]["completionTime"]))
        midnight = ended.replace(hour=0, minute=0, second=0, microsecond=0)
        hours, minutes, seconds = map(int, told[1].split(":"))
        found[stage] = (3600 * hours + 60 * minutes + seconds - (ended - midnight).total_seconds()) % 86_400
    return found


def test_a_dead_server_is_asked_at_most_once_in_five_seconds_after_the_first_minute(
    new_run: Runs, wire: Wire, tmp_path: Path
) -> None:
    run = new_run()
    with run.controller(KUBECONFIG=wire.kubeconfig_in(tmp_path)) as controller:
        wait_for(lambda: wire.watching and run.jobs(), 60, "the first Job")
        wire.refuse()
        died = time.monotonic()
        controller.says("Jobs go on, trying again", 30)
        time.sleep(died + MINUTE + 40 - time.monotonic())
        assert 0 < wire.asked_since(died + MINUTE) <= 40 / 5, wire.asked
        wire.state = "open"
        controller.says("goes on after", 40)
        controller.finishes(200)
    run.is_as_if_undisturbed(*MADE)


def test_an_api_server_that_is_frozen_for_a_minute(new_run: Runs, cluster: Cluster) -> None:
    run = new_run()
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


def test_an_etcd_that_is_killed_and_started_again(new_run: Runs, cluster: Cluster) -> None:
    run = new_run()
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


def test_a_node_that_is_powered_off_is_told_and_released_and_its_indexes_start_elsewhere(
    new_run: Runs, cluster: Cluster
) -> None:
    """The worker is frozen first, so that it is in the middle of its work for certain when the power goes."""
    sizes = {"generate-images": {"grace_seconds": 5, "parallelism": 2}}
    run = new_run(sizes=sizes, settings={"node_lost_seconds": 5})
    with run.controller() as controller:
        pod = wait_for(lambda: caught(cluster, run, "generate-images"), 120, "a Pod of generate-images to freeze")
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
