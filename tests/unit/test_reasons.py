"""Why a Job waits or a Pod failed, as tables of what a real cluster reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.errors import BAD_DATA
from jobs.runtime.diagnostics import TerminationMessage
from pipeline.executors.kubernetes import labels, reasons

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC).timestamp()


def ago(seconds: float) -> str:
    return datetime.fromtimestamp(NOW - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def job(*, queue: str = "", **parts: Any) -> dict[str, Any]:
    noted = {labels.QUEUE: queue} if queue else {}
    return {"metadata": {"labels": noted}, "spec": parts.pop("spec", {}), "status": parts}


def pod(
    phase: str = "Pending",
    *,
    conditions: Any = (),
    container: Any = None,
    node: str = "node-1",
    deleted: str = "",
    **status: Any,
) -> dict[str, Any]:
    requests = {"cpu": "4", "memory": "16Gi", "ephemeral-storage": "20Gi", "nvidia.com/gpu": "8"}
    limits = {"memory": "16Gi", "nvidia.com/gpu": "8"}
    containers = [{"name": "worker", "resources": {"requests": requests, "limits": limits}}]
    found = [{"image": "registry.example.com/embed:1", "state": container}] if container else []
    return {
        "metadata": {"deletionTimestamp": deleted} if deleted else {},
        "spec": {"containers": containers, "nodeName": node},
        "status": {"phase": phase, "conditions": list(conditions), "containerStatuses": found, **status},
    }


def scheduled(status: str = "True", *, since: float = 1.0, message: str = "") -> dict[str, Any]:
    return {"type": "PodScheduled", "status": status, "lastTransitionTime": ago(since), "message": message}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return pod(conditions=[scheduled()], container={"waiting": {"reason": reason, "message": message}})


def event(message: str, *, reason: str = "FailedCreate", at: str | None = "2026-11-22T11:59:00Z") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": at}


TOO_MANY = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available."
QUOTA = 'Error creating: pods "small-embed-1-0a1b2c3d-0-x7k2p" is forbidden: exceeded quota: small, requested: pods=1'


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            pod(conditions=[scheduled("False", message=TOO_MANY)], node=""),
            f"no node can take it (it asks for 8 nvidia.com/gpu, cpu 4, memory 16Gi): {TOO_MANY}",
        ),
        (waits("ErrImagePull", "not found"), "its image cannot be pulled (ErrImagePull): not found"),
        (waits("ImagePullBackOff"), "its image cannot be pulled (ImagePullBackOff): registry.example.com/embed:1"),
        (waits("InvalidImageName", "bad"), "its image cannot be pulled (InvalidImageName): bad"),
        (
            waits("CreateContainerConfigError", 'secret "storage" not found'),
            'its container cannot be made (CreateContainerConfigError): secret "storage" not found',
        ),
        (
            pod(conditions=[scheduled(since=61)], container={"waiting": {"reason": "ContainerCreating"}}),
            "its image is being pulled, or its volumes are being mounted",
        ),
        (pod(conditions=[scheduled(since=59)], container={"waiting": {"reason": "ContainerCreating"}}), ""),
        (pod(conditions=[]), ""),
        (pod("Running", conditions=[scheduled(since=600)]), ""),
        (pod("Failed"), ""),
    ],
    ids=[
        "unschedulable",
        "pull",
        "pull again",
        "image's name",
        "Secret",
        "slow start",
        "start",
        "just created",
        "running",
        "failed",
    ],
)
def test_why_a_pod_waits(found: Any, words: Any) -> None:
    assert reasons.waiting(job(), [found], [], NOW) == words


def test_reasons_of_many_pods_are_counted_most_frequent_first_and_three_at_most() -> None:
    pods = [waits("ErrImagePull", f"reason {number}") for number in (1, 2, 2, 3, 3, 3, 4)]
    noted = reasons.waiting(job(), pods, [], NOW).split("; ")
    assert noted[0] == "3 Pods: its image cannot be pulled (ErrImagePull): reason 3"
    assert noted[1] == "2 Pods: its image cannot be pulled (ErrImagePull): reason 2"
    assert noted[2].startswith("1 Pod: ")
    assert len(noted) == 3


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (job(spec={"suspend": True}), "suspended"),
        (job(spec={"suspend": True}, queue="team"), "suspended: Kueue has not admitted it from the queue team yet"),
        (job(spec={"suspend": False}), ""),
    ],
)
def test_a_suspended_job_says_who_holds_it(held: Any, words: str) -> None:
    assert reasons.waiting(held, [], [], NOW) == words


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([event(QUOTA)], "its Pods cannot be created: exceeded quota: small, requested: pods=1"),
        ([event("older", at="2026-11-22T11:00:00Z"), event("newer")], "its Pods cannot be created: newer"),
        ([event("no time", at=None), event("newer")], "its Pods cannot be created: newer"),
        ([event("Created pod: a", reason="SuccessfulCreate")], ""),
        ([], ""),
    ],
    ids=["quota", "the newest counts", "without a time", "other events", "none"],
)
def test_pods_that_are_not_even_created_are_reported_by_the_job_s_events(events: Any, words: str) -> None:
    assert reasons.waiting(job(), [], events, NOW) == words


def test_old_events_say_nothing_of_a_job_whose_pods_run() -> None:
    assert reasons.waiting(job(active=1), [], [event(QUOTA)], NOW) == ""
    assert reasons.waiting(job(), [pod("Running")], [event(QUOTA)], NOW) == ""


@pytest.mark.parametrize(
    ("found", "node"),
    [
        (pod("Running", deleted=ago(21)), "node-1"),
        (pod("Pending", deleted=ago(21)), "node-1"),
        (pod("Running", deleted=ago(19)), ""),
        (pod("Running", deleted=ago(-30)), ""),
        (pod("Failed", deleted=ago(3600)), ""),
        (pod("Running"), ""),
        (pod("Pending", deleted=ago(21), node=""), ""),
    ],
    ids=["overdue", "never started", "within the margin", "within its grace", "ended", "not asked to end", "nowhere"],
)
def test_a_pod_hangs_when_its_node_should_have_ended_it_a_while_ago(found: Any, node: str) -> None:
    assert reasons.lost_on(found, NOW) == node
    assert (f"`i2p release {node}`" in reasons.waiting(job(), [found], [], NOW)) == bool(node)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("PreemptionByScheduler", "preempted by a Pod of higher priority: as given"),
        ("DeletionByTaintManager", "its node stopped answering or was tainted: as given"),
        ("EvictionByEvictionAPI", "evicted, for example by a drain: as given"),
        ("DeletionByPodGC", "its node is gone: as given"),
        ("TerminationByKubelet", "evicted by its node, which ran short or was shut down: as given"),
        ("SomethingNew", "SomethingNew: as given"),
    ],
)
def test_why_a_pod_was_taken_away(reason: str, words: str) -> None:
    taken = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "as given"}
    assert reasons.disruption(pod("Failed", conditions=[taken])) == words
    assert reasons.disruption(pod("Failed", conditions=[{**taken, "status": "False"}])) == ""
    assert reasons.disruption(pod("Failed")) == ""


def ended(code: int, *, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return pod("Failed", container={"terminated": {"exitCode": code, "reason": reason, "message": message}})


MESSAGE = TerminationMessage(unit="train-00042", error="BadData: row 7 is bad", exit_code=65, attempt="a")
REASON = MESSAGE.encode().decode()
FAILED = (
    '{"event":"exit","code":1,"error":"ValueError: no","time":1}\n{"event":"note","error":"of something else","time":1}'
)
NO_REASON = 'booting\n{"time": 1, "event": "started"}\nSegmentation fault\n'


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ended(65, message=REASON), (BAD_DATA, "BadData: row 7 is bad")),
        (ended(65, message=f"{REASON}\nand more"), (BAD_DATA, "BadData: row 7 is bad")),
        (ended(65, message=REASON.replace("row 7", "row\u2028 7")), (BAD_DATA, "BadData: row 7 is bad")),
        (ended(1, message=FAILED), (1, "ValueError: no")),
        (ended(137, reason="OOMKilled"), (137, "it needed more than its 16Gi of memory; raise resources.memory")),
        (ended(139, message=NO_REASON), (139, "ended by exit code 139; it said last: Segmentation fault")),
        (ended(1), (1, "ended by exit code 1")),
        (
            ended(1, message='["not", "an", "object"]'),
            (1, 'ended by exit code 1; it said last: ["not", "an", "object"]'),
        ),
        (pod("Failed", message="The node was low on resource: memory."), (0, "The node was low on resource: memory.")),
        (pod("Failed", reason="NodeLost"), (0, "NodeLost")),
        (pod("Failed"), (0, "no word of why")),
    ],
    ids=[
        "its termination message",
        "something after it",
        "a line end of Unicode in it",
        "its log in place of one",
        "out of memory",
        "a log without a reason",
        "silent",
        "other JSON",
        "evicted before it started",
        "reason only",
        "nothing at all",
    ],
)
def test_why_a_pod_failed(found: Any, expected: Any) -> None:
    assert reasons.failure(found) == expected


def test_long_messages_are_cut_and_put_on_one_line() -> None:
    _, words = reasons.failure(ended(1, message=MESSAGE.model_copy(update={"error": "line\n" * 200}).encode().decode()))
    assert "\n" not in words
    assert len(words) < 310


def test_times_are_read_as_kubernetes_writes_them() -> None:
    assert reasons.timestamp("2026-11-22T12:00:00Z") == NOW
    assert reasons.timestamp("2026-11-22T12:00:00.500000Z") == NOW + 0.5
