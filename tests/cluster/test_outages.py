"""A run's way to the API server goes dead or silent; it goes on and comes out the same."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.executors.kubernetes import labels, reasons
from tests.cluster.conftest import Cluster
from tests.cluster.controllers import MADE, DisturbedRun, Runs
from tests.fakes.wire import Wire
from tests.waiting import wait_for

LOOK_SECONDS = 5.0  # between two looks of a controller whose watch tells it nothing
BUSY_SECONDS = 15.0  # that a look may take on a busy machine; a watch ends by itself only after four minutes
MINUTE = 60.0


@pytest.fixture
def wire(cluster: Cluster) -> Iterator[Wire]:
    """A way to the API server that only the test's own controller takes."""
    with Wire() as wire:
        yield wire


def test_a_watch_that_goes_silent_costs_no_more_than_the_wait_between_two_looks(
    half_run: Runs, wire: Wire, tmp_path: Path
) -> None:
    run = half_run()
    with run.controller(KUBECONFIG=wire.kubeconfig_in(tmp_path)) as controller:
        wait_for(lambda: wire.watching, 60, "the controller to watch")
        wire.watches_silent = True
        controller.finishes(200)
    assert wire.lost > 0, "the watch had nothing to tell, and nothing was tested"
    run.is_as_if_undisturbed(*MADE)
    for stage, seconds in noticed_after(run).items():
        assert seconds < LOOK_SECONDS + BUSY_SECONDS, f"{stage}: {run.said()}"


def noticed_after(run: DisturbedRun) -> dict[str, float]:
    """By stage the seconds between the end of its Job and the controller's word of it, each of them rounded."""
    found = {}
    for job in run.jobs():
        stage = job["metadata"]["labels"][labels.STAGE]
        noted = re.search(rf"(\d\d:\d\d:\d\d)  {stage} +done", run.said())
        assert noted, run.said()
        ended = datetime.fromtimestamp(reasons.timestamp(job["status"]["completionTime"]))
        midnight = ended.replace(hour=0, minute=0, second=0, microsecond=0)
        hours, minutes, seconds = map(int, noted[1].split(":"))
        found[stage] = (3600 * hours + 60 * minutes + seconds - (ended - midnight).total_seconds()) % 86_400
    return found


def test_a_dead_server_is_asked_at_most_once_in_five_seconds_after_the_first_minute(
    half_run: Runs, wire: Wire, tmp_path: Path
) -> None:
    run = half_run()
    with run.controller(KUBECONFIG=wire.kubeconfig_in(tmp_path)) as controller:
        wait_for(lambda: wire.watching and run.jobs(), 60, "the first Job")
        wire.refuse()
        died = time.monotonic()
        controller.says("Jobs go on, trying again", 30)
        time.sleep(died + MINUTE + 40 - time.monotonic())
        assert 0 < wire.tried_since(died + MINUTE) <= 40 / 5, wire.asked
        wire.pass_on()
        controller.says("goes on after", 40)
        controller.finishes(200)
    run.is_as_if_undisturbed(*MADE)
