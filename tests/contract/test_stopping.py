"""A worker that is asked to stop while it waits for S3 stops at once and leaves its reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from jobs.errors import TRY_AGAIN
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.task_description import TaskDescription
from jobs.shards.s3 import S3Store
from tests.fakes.faulty_proxy import Fault, FaultyProxy
from tests.interrupting import interrupted_at_import

PROMPTS = {"sources": [{"kind": "grammar", "name": "g", "seed": 1, "num_prompts": 100}]}


@pytest.mark.parametrize(
    ("method", "containing", "fault"),
    [
        ("GET", "list-type=2", "lost"),
        ("GET", "list-type=2", "stall-down"),
        ("PUT", "/shards/", "lost"),
        ("PUT", "/commits/", "lost"),
    ],
    ids=["the first listing", "half of the first listing", "a shard", "a commit record"],
)
def test_a_worker_that_waits_for_an_answer_stops_at_once_when_it_is_asked_to(
    s3_store: S3Store, method: str, containing: str, fault: Fault
) -> None:
    task = TaskDescription(store=s3_store.url, run="run", stage="collect", params=PROMPTS, inputs={}, completions=1)
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        env = {**os.environ, "AWS_ENDPOINT_URL": proxy.address, TASK_VARIABLE: task.to_variable(), "I2P_ATTEMPT": "one"}
        asked: list[float] = []

        def stop() -> None:
            asked.append(time.monotonic())
            worker.send_signal(signal.SIGTERM)

        proxy.spoil(fault, method, containing, then=stop)
        with subprocess.Popen([sys.executable, "-m", "jobs"], env=env, stderr=subprocess.PIPE, text=True) as worker:
            _, noted = worker.communicate(timeout=300)
            ended = time.monotonic()
    assert worker.returncode == TRY_AGAIN, noted
    assert ended - asked[0] < 12, "a worker that does not listen is ended after 15 s"
    stage = s3_store.at("run").at("collect")
    (failure,) = (json.loads(stage.read(stat.name).data) for stat in stage.list("failures/"))
    assert failure["error"].startswith("Stopped: asked to stop by SIGTERM; what was committed is kept"), noted
    assert len(proxy.matching(method, containing)) == 1, "nothing was asked again"


@pytest.mark.parametrize("module", ["boto3", "urllib3.exceptions"])
def test_a_worker_that_is_asked_to_stop_while_the_client_of_s3_is_imported_leaves_its_reason(
    s3_store: S3Store, module: str
) -> None:
    task = TaskDescription(store=s3_store.url, run="run", stage="collect", params=PROMPTS, inputs={}, completions=1)
    done = interrupted_at_import(task, module, imported_in=0.3, stuck=30, env={})
    assert done.returncode == TRY_AGAIN, done.stderr
    stage = s3_store.at("run").at("collect")
    (failure,) = (json.loads(stage.read(stat.name).data) for stat in stage.list("failures/"))
    assert "asked to stop by SIGTERM" in failure["error"]
    assert not list(stage.list("commits/")), "nothing was begun"
