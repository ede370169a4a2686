"""A task does its share of what was planned, and leaves its log and its last words wherever it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog import stage_named
from jobs.contract.declaration import Contract, Inputs
from jobs.errors import BAD_DATA, TRY_AGAIN, BadConfiguration, BadData, I2PError, StalePlan, StoreError, exit_code_of
from jobs.runtime import diagnostics as module
from jobs.runtime import log
from jobs.runtime.diagnostics import Diagnostics, leave_termination_message
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.models import by_content
from jobs.runtime.stopping import Stopped
from jobs.runtime.task import Task
from jobs.runtime.task_description import TaskDescription
from jobs.shards.dataset import Writer
from jobs.shards.digests import digest_of
from jobs.shards.local import LocalStore
from pipeline.cli.tables import logs
from tests import pictures
from tests.interrupting import interrupted_at_import
from tests.stages import dataset_of, local_run
from tests.waiting import wait_for

DRAWING = {"model": "drawing", "revision": None, "stored_size": 32}
SHARDS = {f"train-{number:05d}": range(4 * number, 4 * number + 4) for number in range(5)}


def described(folder: Path, **changes: Any) -> TaskDescription:
    run = local_run(folder)
    inputs = [pictures.prompts(run, SHARDS), dataset_of(run, "collect", {})]
    noted: dict[str, Any] = {
        "store": str(folder),
        "run": "run",
        "stage": "generate-images",
        "params": DRAWING,
        "inputs": {one.name: one.manifest.digest for one in inputs},
        "completions": 2,
    }
    return TaskDescription(**(noted | changes))


def task(description: TaskDescription, index: int) -> Task[Inputs, Contract[Writer]]:
    return Task.open(stage_named(description.stage), description, index=index, attempt=f"test-{index}")


def shares(description: TaskDescription) -> list[list[str]]:
    return [[unit.name for unit in task(description, index).pending()] for index in range(description.completions)]


def run_process(description: TaskDescription, folder: Path, **environ: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, TASK_VARIABLE: description.to_variable(), "I2P_ATTEMPT": "one", **environ}
    return subprocess.Popen([sys.executable, "-m", "jobs"], env=env, stderr=(folder / "stderr").open("wb"))


# The share


def test_only_the_planned_units_are_spread_over_the_indexes_in_the_stages_order(tmp_path: Path) -> None:
    planned = ("train-00004", "train-00001", "train-00003")
    assert shares(described(tmp_path)) == [
        ["train-00000", "train-00002", "train-00004"],
        ["train-00001", "train-00003"],
    ]
    assert shares(described(tmp_path, units=planned)) == [["train-00001", "train-00004"], ["train-00003"]]
    assert shares(described(tmp_path, units=())) == [[], []]


def test_slices_stay_when_some_of_the_planned_units_are_committed_meanwhile(tmp_path: Path) -> None:
    first = task(described(tmp_path, units=("train-00001",), completions=1), 0)
    for unit in first.pending():
        with first.writing(unit):
            pass
    planned = ("train-00001", "train-00003", "train-00004")
    assert shares(described(tmp_path, units=planned)) == [["train-00004"], ["train-00003"]]


def test_a_planned_unit_that_is_gone_makes_the_plan_stale(tmp_path: Path) -> None:
    with pytest.raises(StalePlan, match="no unit 'train-00009' any more"):
        shares(described(tmp_path, units=("train-00001", "train-00009")))


def test_every_index_of_a_gang_has_the_same_units(tmp_path: Path) -> None:
    assert (
        shares(described(tmp_path, gang=True, units=("train-00002", "train-00000")))
        == [["train-00000", "train-00002"]] * 2
    )


def test_an_input_can_be_taken_from_another_run_of_the_store(tmp_path: Path) -> None:
    description = described(tmp_path, run="tonight", runs={"dedup": "run", "collect": "run"})
    assert len(shares(description)[0]) == 3
    assert task(description, 0).output.url == str(tmp_path / "tonight/generate-images")
    with pytest.raises(StalePlan):
        task(described(tmp_path, run="tonight"), 0)


@pytest.mark.parametrize("count", [3, 20_000])
def test_a_description_of_any_length_fits_into_a_variable_and_comes_back(tmp_path: Path, count: int) -> None:
    description = described(tmp_path, units=tuple(f"train-{number:05d}" for number in range(count)), gang=True)
    assert len(description.to_variable()) < 100_000
    assert description.to_variable().startswith("{") == (count == 3)
    assert TaskDescription.from_variable(description.to_variable()) == description
    for wrong in ("", "[]", "zlib:xx", "zlib:!", '{"units": 3}'):
        with pytest.raises(BadConfiguration):
            TaskDescription.from_variable(wrong)


# The log


@pytest.fixture(autouse=True)
def _empty_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_lines", {})


def uploaded(store: LocalStore) -> list[dict[str, Any]]:
    (name,) = (stat.name for stat in store.list("logs/"))
    return [json.loads(line) for line in store.read(name).data.splitlines()]


def test_of_progress_only_the_newest_line_of_each_unit_is_kept_where_it_was_said() -> None:
    for unit in ("a", "b"):
        log.working_on(unit)
        for done in range(5):
            log.progress(done, 4, "images")
            log._last_progress = 0.0
    log.note("checkpoint")
    kept = [json.loads(line) for line in log.lines().splitlines()]
    assert [(one["event"], one.get("unit"), one.get("done")) for one in kept] == [
        ("progress", "a", 4),
        ("progress", "b", 4),
        ("checkpoint", None, None),
    ]


def test_the_log_is_in_the_store_from_the_start_and_grows_while_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.05)
    store = LocalStore(tmp_path)
    log.note("started")
    with Diagnostics(store, 3, "abc").shipping():
        wait_for(lambda: [stat.name for stat in store.list("logs/")] == ["logs/00003-abc.jsonl"])
        log.note("something new")
        wait_for(lambda: uploaded(store)[-1]["event"] == "something new")
        log.note("last")
    assert uploaded(store)[-1]["event"] == "last"
    assert {row["index"] for row in logs(store, index=3)} == {3}


def test_a_log_is_one_request_when_there_is_something_new_and_none_when_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[str] = []

    class Counted(LocalStore):
        def put(self, name: str, body: bytes) -> None:
            requests.append(name)

    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_SECONDS", 0.02)
    with Diagnostics(Counted(tmp_path), 0, "abc").shipping():
        time.sleep(0.3)
        assert len(requests) == 1
        log.note("something new")
        time.sleep(0.3)
        assert len(requests) == 2


def test_a_pod_of_several_processes_is_one_attempt_among_the_logs(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for attempt in ("abc", "abc.1", "abc.2"):
        Diagnostics(store, 3, attempt).ship_log()
    assert [stat.name for stat in store.list("")] == [
        "logs/00003-abc.jsonl",
        "processes/00003-abc.1.jsonl",
        "processes/00003-abc.2.jsonl",
    ]


def test_a_store_that_refuses_the_log_does_not_disturb_the_work(tmp_path: Path) -> None:
    class Broken(LocalStore):
        def put(self, name: str, body: bytes) -> None:
            raise StoreError("down")

        def create(self, name: str, body: Any) -> bool:
            raise StoreError("down")

    evidence = Diagnostics(Broken(tmp_path), 0, "abc")
    with evidence.shipping():
        evidence.report_failure(BadData("no"))
    assert b'"not uploaded"' in log.lines()


def test_a_worker_killed_by_sigkill_leaves_its_log(tmp_path: Path) -> None:
    description = described(
        tmp_path,
        completions=1,
        inputs={},
        stage="collect",
        params={
            "sources": [{"kind": "grammar", "name": "grammar", "seed": 1, "num_prompts": 1_000_000}],
        },
    )
    process = run_process(description, tmp_path, AWS_SESSION_TOKEN="hidden-in-the-environment")  # noqa: S106
    store = local_run(tmp_path).at("collect")
    until = time.monotonic() + 60
    while not any(b'"progress"' in store.read(stat.name).data for stat in store.list("logs/")):
        assert time.monotonic() < until, (tmp_path / "stderr").read_text()
        assert process.poll() is None, (tmp_path / "stderr").read_text()
        time.sleep(0.1)
    process.kill()
    process.wait()
    noted = uploaded(store)
    assert noted[0]["event"] in ("started", "log")
    assert noted[-1]["event"] == "progress"
    assert {"done", "total", "what", "unit"} <= noted[-1].keys()
    assert b"hidden-in-the-environment" not in next(store.root.glob("logs/*.jsonl")).read_bytes()


# The end


def test_a_failure_leaves_a_short_termination_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "termination-log"
    monkeypatch.setenv("I2P_TERMINATION_LOG", str(path))
    leave_termination_message(BadData("ü\n" * 10_000), unit="train-00001", attempt="abc")
    assert len(path.read_bytes()) <= 4096
    noted = json.loads(path.read_bytes())
    assert noted["error"].startswith("BadData: ü\nü")
    assert (noted["unit"], noted["exit_code"], noted["attempt"]) == ("train-00001", BAD_DATA, "abc")


def test_of_several_failures_in_a_pod_the_first_of_the_most_severe_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "termination-log"
    monkeypatch.setenv("I2P_TERMINATION_LOG", str(path))
    noted = []
    for attempt, error in [
        ("abc.1", I2PError("one")),
        ("abc", I2PError("two")),
        ("abc.2", BadData("three")),
        ("abc", BadData("four")),
        ("abc", BadConfiguration("five")),
        ("abc", I2PError("six")),
        ("next", I2PError("seven")),
    ]:
        leave_termination_message(error, unit=None, attempt=attempt)
        noted.append(json.loads(path.read_bytes())["error"].partition(": ")[2])
    assert noted == ["one", "one", "three", "three", "five", "five", "seven"]


def test_a_termination_message_that_cannot_be_written_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("I2P_TERMINATION_LOG", "/dev/null/not/there")
    leave_termination_message(BadData("no"), unit=None, attempt="abc")


def test_a_task_that_cannot_be_opened_leaves_log_failure_and_message_too(tmp_path: Path) -> None:
    description = described(tmp_path, inputs={"dedup": "0" * 64, "collect": "0" * 64})
    message = tmp_path / "message"
    assert run_process(description, tmp_path, I2P_TERMINATION_LOG=str(message)).wait(60) == TRY_AGAIN
    assert json.loads(message.read_bytes())["error"].startswith("StalePlan: the dataset dedup is not the one")
    store = local_run(tmp_path).at("generate-images")
    assert uploaded(store)[-1]["event"] == "failed"
    assert [stat.name for stat in store.list("failures/")] == ["failures/index-0-one.json"]


def interrupted(folder: Path, module: str, *, imported_in: float, stuck: float) -> subprocess.CompletedProcess[str]:
    """A worker that is asked to stop at an import; what it leaves is in `message` and the store."""
    message = {"I2P_TERMINATION_LOG": str(folder / "message")}
    return interrupted_at_import(described(folder), module, imported_in=imported_in, stuck=stuck, env=message)


@pytest.mark.parametrize(
    "module",
    ["jobs.catalog", "pydantic", "jobs.runtime.task", "jobs.shards.local", "jobs.generate_images.worker"],
)
def test_a_worker_that_is_asked_to_stop_while_it_is_imported_says_so_with_its_pod_and_in_the_store(
    tmp_path: Path, module: str
) -> None:
    done = interrupted(tmp_path, module, imported_in=0.3, stuck=30)
    assert done.returncode == TRY_AGAIN, done.stderr
    store = local_run(tmp_path).at("generate-images")
    (failure,) = (json.loads(store.read(stat.name).data) for stat in store.list("failures/"))
    assert "asked to stop by SIGTERM" in failure["error"]
    assert (failure["exit_code"], failure["attempt"]) == (TRY_AGAIN, "one")
    assert json.loads((tmp_path / "message").read_bytes())["error"] == failure["error"]
    assert [one["event"] for one in uploaded(store)][-1] == "failed"
    assert not list(store.list("commits/")), "nothing was begun"


def test_an_import_that_takes_too_long_after_a_sigterm_is_not_waited_for(tmp_path: Path) -> None:
    done = interrupted(tmp_path, "jobs.catalog", imported_in=50, stuck=0.2)
    assert done.returncode == TRY_AGAIN
    assert "asked to stop by SIGTERM while it was imported" in done.stderr


def test_a_stop_is_no_error_that_whatever_it_interrupts_may_take_for_one_of_its_own() -> None:
    assert not issubclass(Stopped, Exception)
    assert exit_code_of(Stopped()) == TRY_AGAIN


@pytest.mark.parametrize("graceful", [True, False])
def test_a_worker_stuck_in_c_code_leaves_its_reason_soon_after_sigterm_and_ends_later(graceful: bool) -> None:
    """Where the grace period is short, the reason is all there is time for."""
    code = (
        "import ctypes, signal, sys\n"
        "from jobs.runtime import stopping\n"
        "stopping._HEARD_SECONDS, stopping.STUCK_SECONDS = 0.1, float(sys.argv[1])\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "def last_words(error): print(error, *error.__notes__, sep='; ', flush=True)\n"
        "with stopping.ending_when_stuck(lambda: False, last_words):\n"
        "    print('ready', flush=True)\n"
        "    lock = ctypes.CDLL(None).sem_wait\n"
        "    semaphore = (ctypes.c_char * 64)()\n"
        "    ctypes.CDLL(None).sem_init(semaphore, 0, 0)\n"
        "    while True: lock(semaphore)\n"
    )
    command = [sys.executable, "-c", code, "0.2" if graceful else "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        reason = process.stdout.readline()
        if not graceful:
            process.kill()
    assert "asked to stop by SIGTERM" in reason
    assert "The main thread was here:" in reason
    assert process.returncode == (TRY_AGAIN if graceful else -signal.SIGKILL)


def test_a_worker_that_sees_another_model_than_the_controller_says_so(tmp_path: Path) -> None:
    embed = stage_named("embed")
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("as planned")
    params = embed.params.model_validate({"model": str(model), "revision": None})
    description = TaskDescription(
        store=str(tmp_path / "store"),
        run="run",
        stage="embed",
        params=params.model_dump(mode="json"),
        inputs={},
        completions=1,
        settings=digest_of(params.settings()),
    )
    with pytest.raises(StalePlan):  # its inputs are not there, but the model is right
        Task.open(embed, description, index=0, attempt="test")
    (model / "weights").write_text("as found")
    by_content.cache_clear()
    with pytest.raises(BadConfiguration, match="something else here than where the run was planned"):
        Task.open(embed, description, index=0, attempt="test")


def test_a_sigterm_during_the_first_upload_of_the_log_is_answered(tmp_path: Path) -> None:
    """In a process of its own, in which that upload takes as long as the test."""
    code = f"""
import os, signal, threading, time
from jobs.catalog import stage_named
from jobs.runtime.task import run_task
from jobs.runtime.task_description import TaskDescription
from jobs.shards.local import LocalStore
put = LocalStore.put
LocalStore.put = lambda self, name, body: (time.sleep(2), put(self, name, body))
params = {{"sources": [{{"kind": "grammar", "name": "g", "seed": 1, "num_prompts": 10_000_000}}]}}
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
task = TaskDescription(store={str(tmp_path)!r}, run="run", stage="collect", params=params, inputs={{}}, completions=1)
run_task(stage_named("collect"), task, index=0, attempt="a")
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert "asked to stop by SIGTERM" in done.stderr
    assert time.monotonic() - started < 30, "it did not work on"
    (failure,) = (tmp_path / "run" / "collect" / "failures").glob("*.json")
    assert json.loads(failure.read_text())["exit_code"] == TRY_AGAIN
