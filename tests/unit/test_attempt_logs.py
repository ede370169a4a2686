"""What attempts say of themselves in the logs that they ship: read again only when they grew, and of one Job only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, TRY_AGAIN
from jobs.runtime.diagnostics import Failure
from jobs.shards.digests import canonical_json
from jobs.shards.local import LocalStore
from pipeline.executors.attempts import Attempt
from pipeline.executors.base import Progress
from pipeline.executors.kubernetes import attempt_logs
from pipeline.executors.kubernetes.attempt_logs import AttemptLogs, begun_by_index, indexes_in, worst

JOB = "small-collect-1-0a1b2c3d"


class CountingStore(LocalStore):
    """A folder that counts what is read of it."""

    reads = 0

    def read(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.reads += 1
        return super().read(name, *arguments, **options)


@pytest.fixture
def stage(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "stage")


def log(stage: LocalStore, *events: dict[str, Any], index: int = 0, pod: str = "abcde", job: str = JOB) -> None:
    body = b"".join(canonical_json({"time": 1.0, **event}) + b"\n" for event in events)
    stage.put(f"logs/{index:05d}-{job}-{index}-{pod}.jsonl", body)


def fail(stage: LocalStore, code: int, time: float, *, index: int = 0, unit: str | None = None, job: str = JOB) -> None:
    noted = {
        "unit": unit,
        "index": index,
        "attempt": f"{job}-{index}-abcde",
        "exit_code": code,
        "error": f"error at {time}",
        "traceback": "",
        "time": time,
    }
    stage.put(f"failures/{unit or f'index-{index}'}-{job}-{index}-p{time:.0f}.json", canonical_json(noted))


STARTED = {"event": "started", "stage": "collect", "index": 0, "completions": 1, "attempt": "a"}
FINISHED = {"event": "finished", "failed_units": 0}
COMMITTED = {"event": "committed", "unit": "a", "samples": 7, "seconds": 1.5, "won": True}


def test_commits_are_counted_and_the_newest_progress_is_the_one_of_the_unit_under_way(stage: CountingStore) -> None:
    log(stage, STARTED, COMMITTED, COMMITTED, {"event": "progress", "done": 3, "total": 10, "what": "rows"})
    assert AttemptLogs(stage).attempts(JOB) == [Attempt(0, 2, 14, Progress(3, 10, "rows"))]


def test_a_commit_ends_the_progress_of_its_unit(stage: CountingStore) -> None:
    log(stage, STARTED, {"event": "progress", "done": 9, "total": 10, "what": "rows"}, COMMITTED)
    assert AttemptLogs(stage).attempts(JOB) == [Attempt(0, 1, 7, Progress())]


FAILED = {
    "event": "failed",
    "unit": None,
    "index": 0,
    "attempt": "a",
    "exit_code": 65,
    "error": "no",
    "traceback": "",
}
EXITED = {"event": "exit", "code": 65, "error": ""}


@pytest.mark.parametrize("end", [FINISHED, FAILED, EXITED])
def test_an_attempt_that_has_ended_has_no_progress(stage: CountingStore, end: Any) -> None:
    log(stage, STARTED, COMMITTED, end)
    assert AttemptLogs(stage).attempts(JOB) == [Attempt(0, 1, 7, None)]


def test_a_log_is_read_again_only_when_it_has_grown(stage: CountingStore) -> None:
    known = AttemptLogs(stage)
    log(stage, STARTED, index=0)
    log(stage, STARTED, index=1)
    assert known.attempts(JOB) == known.attempts(JOB)
    assert stage.reads == 2
    log(stage, STARTED, COMMITTED, index=1)
    assert [attempt.units for attempt in known.attempts(JOB)] == [0, 1]
    assert stage.reads == 3


def test_many_logs_are_read_over_several_looks_and_count_as_begun_from_the_first(
    stage: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_logs, "_READ_AT_ONCE", 2)
    for index in range(5):
        log(stage, COMMITTED, FINISHED, index=index)
    known = AttemptLogs(stage)
    looks = [known.attempts(JOB) for _ in range(3)]
    assert [sum(attempt.units for attempt in look) for look in looks] == [2, 4, 5]
    assert [len(look) for look in looks] == [5, 5, 5]


def test_logs_of_other_jobs_are_not_counted(stage: CountingStore) -> None:
    log(stage, COMMITTED, job=JOB)
    log(stage, COMMITTED, job="small-collect-2-0a1b2c3d")
    log(stage, COMMITTED, job=f"{JOB}e")
    assert len(AttemptLogs(stage).attempts(JOB)) == 1


def test_a_log_that_goes_while_it_is_looked_at_is_no_error(
    stage: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(stage, COMMITTED)
    listed = list(stage.list("logs/"))
    stage.delete(listed[0].name)
    monkeypatch.setattr(stage, "list", lambda prefix: listed)
    assert AttemptLogs(stage).attempts(JOB) == [Attempt(0, progress=None)]


def test_attempts_are_counted_by_index(stage: CountingStore) -> None:
    for pod in ("aaaaa", "bbbbb"):
        log(stage, STARTED, index=3, pod=pod)
    log(stage, STARTED, index=12, pod="ccccc")
    assert begun_by_index(AttemptLogs(stage).attempts(JOB)) == {3: 2, 12: 1}


def test_the_worst_failure_comes_first_and_of_equal_ones_the_newest(stage: CountingStore) -> None:
    for code, time in ((TRY_AGAIN, 5.0), (BAD_DATA, 1.0), (BAD_CONFIGURATION, 2.0), (BAD_DATA, 4.0), (137, 6.0)):
        fail(stage, code, time)
    fail(stage, BAD_CONFIGURATION, 9.0, job="small-collect-2-0a1b2c3d")
    found = AttemptLogs(stage).failures(JOB)
    assert [(one.exit_code, one.time) for one in found] == [
        (BAD_CONFIGURATION, 2.0),
        (BAD_DATA, 4.0),
        (BAD_DATA, 1.0),
        (137, 6.0),
        (TRY_AGAIN, 5.0),
    ]


def test_a_failure_names_its_unit_or_none_when_it_is_of_the_whole_index(stage: CountingStore) -> None:
    fail(stage, BAD_DATA, 2.0, unit="train-00042", index=4)
    fail(stage, BAD_DATA, 1.0, index=2)
    assert [(one.unit, one.index) for one in AttemptLogs(stage).failures(JOB)] == [("train-00042", 4), (None, 2)]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((), 0),
        ((TRY_AGAIN, 137), 0),
        ((TRY_AGAIN, BAD_DATA), BAD_DATA),
        ((BAD_DATA, BAD_CONFIGURATION), BAD_CONFIGURATION),
    ],
)
def test_the_worst_exit_code_is_that_of_what_no_retry_mends(codes: Any, expected: Any) -> None:
    failures = [
        Failure(index=0, unit=None, attempt="a", exit_code=code, error="", traceback="", time=0.0) for code in codes
    ]
    assert worst(failures) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("3", [3]), ("1,3-5,7", [1, 3, 4, 5, 7]), ("9998-9999", [9998, 9999])]
)
def test_indexes_in_the_short_form_of_kubernetes(text: str, expected: Any) -> None:
    assert list(indexes_in(text)) == expected
