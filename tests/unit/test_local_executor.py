"""The local executor keeps the exit contract: 0 ends well, 65 fails its index, 78 the Job, the rest is tried again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, STORE_AWAY, TRY_AGAIN
from jobs.runtime.task_description import TaskDescription
from pipeline.configuration.resources import Resources
from pipeline.executors.base import JobStatus
from pipeline.executors.kinds import local as module
from pipeline.executors.kinds.local import LocalExecutor
from pipeline.planning.job_plan import JobPlan
from tests.waiting import wait_for

INDEX = "import json, os, pathlib, sys, time; index = int(os.environ['JOB_COMPLETION_INDEX'])\n"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT_SECONDS", 0.05)


def start(code: str, *, completions: int = 1, remote_store: bool = False, **resources: Any) -> LocalExecutor:
    """Start a program as the worker of every index."""
    executor = LocalExecutor([sys.executable, "-c", INDEX + code], remote_store=remote_store)
    task = TaskDescription(store="store", run="run", stage="stage", params={}, inputs={}, completions=completions)
    size = Resources.model_validate({"parallelism": 2, "retries": 0} | resources)
    executor.submit(JobPlan(task=task, generation=1, resources=size))
    return executor


def run(code: str, **resources: Any) -> tuple[JobStatus, list[str]]:
    """Run a program as the worker of every index to the end of the Job; returns its status and the notes."""
    executor = start(code, **resources)
    until, notes = time.monotonic() + 30, []
    while (seen := executor.observe({})).jobs["stage"].state == "running":
        notes += [note for _, note in seen.notes]
        assert time.monotonic() < until
        time.sleep(0.02)
    executor.close()
    return seen.jobs["stage"], notes


def test_all_indexes_run_and_what_they_commit_is_counted(tmp_path: Path) -> None:
    code = f"pathlib.Path('{tmp_path}', str(index)).touch()\n" + (
        "committed = {'event': 'committed', 'unit': 'a', 'samples': 10 + index, 'seconds': 1, 'won': True}\n"
        "print(json.dumps(committed), file=sys.stderr)"
    )
    status, _ = run(code, completions=5)
    assert (status.state, status.units, status.samples) == ("succeeded", 5, 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == list("01234")


def test_bad_data_fails_its_index_without_a_retry_and_the_others_finish(tmp_path: Path) -> None:
    code = f"pathlib.Path('{tmp_path}', f'{{index}}-{{time.time_ns()}}').touch()\nsys.exit(65 if index == 1 else 0)"
    status, _ = run(code, completions=4, retries=3)
    assert (status.state, status.exit_code) == ("failed", BAD_DATA)
    assert len(list(tmp_path.iterdir())) == 4
    assert "1 of 4 indexes failed" in status.message


def test_bad_configuration_stops_the_other_indexes_at_once() -> None:
    started = time.monotonic()
    status, _ = run("sys.exit(78) if index == 1 else time.sleep(60)", completions=2, retries=3)
    assert (status.state, status.exit_code) == ("failed", BAD_CONFIGURATION)
    assert time.monotonic() - started < 10


def test_anything_else_is_tried_again_until_it_ends_well(tmp_path: Path) -> None:
    code = f"tried = pathlib.Path('{tmp_path}', 'tried')\n" + (
        "tried.write_text((tried.read_text() if tried.exists() else '') + 'x')\n"
        "sys.exit(0 if len(tried.read_text()) == 3 else 1)"
    )
    assert run(code, retries=2)[0].state == "succeeded"
    (tmp_path / "tried").unlink()
    status, _ = run(code, retries=1)
    assert (status.state, status.exit_code) == ("failed", TRY_AGAIN)
    assert "tried 2 times" in status.message


def test_a_killed_worker_is_tried_again_and_its_reason_are_reported() -> None:
    status, notes = run("print('so far so good', file=sys.stderr); os.kill(os.getpid(), 9)", retries=1)
    assert "signal 9; killed from outside, or out of memory; it said last: so far so good" in status.message
    assert "is tried again" in notes[0]


def test_a_job_past_its_deadline_fails() -> None:
    status, _ = run("time.sleep(60)", deadline_seconds=1)
    assert (status.state, status.exit_code) == ("failed", TRY_AGAIN)
    assert "deadline of 1 s" in status.message


def test_workers_end_when_the_executor_is_killed(tmp_path: Path) -> None:
    code = (
        "import time; from tests.unit.test_local_executor import start\n"
        "child = 'import os, pathlib, threading, time; from jobs.__main__ import _end_with_parent; '"
        f"'pathlib.Path(\"{tmp_path}/pid\").write_text(str(os.getpid())); '"
        "'threading.Thread(target=_end_with_parent, daemon=True).start(); time.sleep(60)'\n"
        "executor = start(child)\n"
        "while True: executor.observe({}); time.sleep(0.05)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    pid_file = tmp_path / "pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not alive(int(pid_file.read_text())))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_store_that_can_be_away_is_waited_for_once_something_was_started() -> None:
    assert LocalExecutor(remote_store=True).patience_seconds == 0, "a wrong address is reported at once"
    for remote, seconds in ((True, 3600), (False, 0)):
        executor = start("pass", remote_store=remote)
        assert executor.patience_seconds == seconds
        executor.close()


@pytest.mark.parametrize("code", [STORE_AWAY, TRY_AGAIN])
def test_a_job_whose_last_attempt_waited_in_vain_for_the_store_says_so(code: Any) -> None:
    status, _ = run(f"sys.exit({code})", retries=1)
    assert (status.state, status.exit_code) == ("failed", code)
