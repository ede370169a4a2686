"""Why a Job failed, from what its Pods and its attempts told, also when the Pods are gone by then."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, STORE_AWAY, TRY_AGAIN, I2PError, StoreAway
from jobs.runtime.diagnostics import Diagnostics, TerminationMessage
from jobs.shards.local import LocalStore
from pipeline.configuration.run_config import load_config
from pipeline.executors.base import JobStatus
from pipeline.executors.kubernetes import labels
from pipeline.executors.kubernetes.client.api import JOBS
from pipeline.executors.kubernetes.executor import Caller, KubernetesExecutor

NAME = "small-collect-1-0a1b2c3d"
FAILED = {"type": "Failed", "status": "True", "reason": "FailedIndexes", "message": "Job has failed indexes"}
Object = dict[str, Any]


@dataclass
class Listed:
    """A cluster that has one Job and these Pods."""

    job: Object
    pods: list[Object] = field(default_factory=list)

    def list(self, kind: Any, **_: str) -> Any:
        listed = [self.job] if kind is JOBS else self.pods
        return type("Listing", (), {"items": listed})


def job(*conditions: Object) -> Object:
    marks = {labels.STAGE: "collect", labels.GENERATION: "1", labels.WORK: "0a1b2c3d", labels.INVOCATION: "mine"}
    return {
        "metadata": {"name": NAME, "uid": "job", "creationTimestamp": "2026-11-22T12:00:00Z", "labels": marks},
        "spec": {"completions": 1, "template": {"spec": {}}},
        "status": {"conditions": list(conditions), **({"failedIndexes": "0"} if conditions else {})},
    }


def pod(name: str = "a", *, code: int | None = None, words: str = "", **meta: str) -> Object:
    """A Pod of the Job that runs, or that failed with an exit code and these last words."""
    message = TerminationMessage(unit=None, error=words, exit_code=code or 0, attempt=name).encode().decode()
    ended = {"terminated": {"exitCode": code, "message": message if words else ""}}
    marks = {labels.STAGE: "collect", labels.JOB_NAME: NAME, labels.INDEX: "0"}
    return {
        "metadata": {"name": f"{NAME}-0-{name}", "uid": name, "labels": marks, **meta},
        "spec": {"containers": [{"resources": {"limits": {"memory": "1Gi"}}}]},
        "status": {"phase": "Running"}
        if code is None
        else {"phase": "Failed", "startTime": name, "containerStatuses": [{"state": ended}]},
    }


def end_of(folder: Path, *looks: list[Object], reason: str = "FailedIndexes") -> JobStatus:
    """The status of the failed Job, whose Pods were these in looks before and in the last one."""
    config = load_config("demo").model_copy(update={"executor": "kubernetes"})
    cluster = Listed(job())
    executor = KubernetesExecutor(cluster, LocalStore(folder), config, Caller("mine"))  # type: ignore[arg-type]
    for pods in looks[:-1]:
        cluster.pods = pods
        assert executor.observe({}).jobs["collect"].state == "running"
    cluster.job, cluster.pods = job({**FAILED, "reason": reason}), looks[-1]
    return executor.observe({}).jobs["collect"]


DELETED = pod(deletionTimestamp="2026-11-22T12:00:30Z")


@pytest.mark.parametrize(
    ("looks", "code", "words"),
    [
        ([[pod(code=75, words="no disk")]], TRY_AGAIN, "no disk"),
        ([[pod(code=75, words="no disk")], []], TRY_AGAIN, "no disk"),
        ([[pod("a", code=65, words="row 7 is bad")], [pod("b", code=75, words="later")]], BAD_DATA, "row 7 is bad"),
        ([[DELETED], []], TRY_AGAIN, f"Job has failed indexes: the Pod {NAME}-0-a of index 0 was deleted"),
        ([[DELETED], [pod(code=75, words="asked to stop")]], TRY_AGAIN, "asked to stop"),
        ([[DELETED], [pod("b", code=137)]], TRY_AGAIN, "ended by exit code 137"),
        ([[]], TRY_AGAIN, "Job has failed indexes: its Pods left no message"),
        ([[pod("a", code=75, words="no disk"), pod("b", code=74, words="no answer")]], STORE_AWAY, "no answer"),
        ([[pod("a", code=74, words="no answer")], [pod("b", code=75, words="no disk")]], TRY_AGAIN, "no disk"),
    ],
    ids=[
        "its Pod is there",
        "its Pod was there at an earlier look",
        "what no retry mends counts more than what is new",
        "it was deleted",
        "it was deleted and told more later",
        "its successor told more",
        "nobody saw anything",
        "the store was away at last",
        "the store was away earlier",
    ],
)
def test_the_best_known_reason_is_reported(tmp_path: Path, looks: list[list[Object]], code: int, words: str) -> None:
    end = end_of(tmp_path, *looks)
    assert end.state == "failed"
    assert end.exit_code == code
    assert words in end.message


def test_the_job_s_own_word_for_a_bad_configuration_counts_more_than_a_store_that_was_away(tmp_path: Path) -> None:
    end = end_of(tmp_path, [pod(code=74, words="no answer")], reason="PodFailurePolicy")
    assert end.exit_code == BAD_CONFIGURATION


@pytest.mark.parametrize(("error", "code"), [(StoreAway("s3 is away"), STORE_AWAY), (I2PError("ended"), TRY_AGAIN)])
def test_what_an_attempt_left_in_the_store_is_reported_when_no_pod_was_seen(
    tmp_path: Path, error: I2PError, code: int
) -> None:
    Diagnostics(LocalStore(tmp_path).at("collect"), 0, f"{NAME}-0-a").report_failure(error)
    end = end_of(tmp_path, [])
    assert end.exit_code == code
    assert str(error) in end.message
