"""What goes wrong on a cluster fails as far as it reaches and no further, and is said in words.

How a Pod's end counts, as seen here with Kubernetes 1.34: preemption and the Eviction API put the condition
DisruptionTarget on the Pod, which the Job's rule `Ignore` matches whatever the exit code is; a plain deletion (`kubectl
delete pod`) puts none, so that it is a failure like any other and uses a retry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, OK, TRY_AGAIN
from jobs.shards.s3 import S3Store
from tests.cluster.collecting import FAILURES, QUICK, RUN, SLOW, STAGE, Object, Run, grammars
from tests.cluster.commands import answer, begun, i2p
from tests.cluster.conftest import NO_PODS, Cluster
from tests.waiting import wait_for


@pytest.fixture
def run(cluster: Cluster, namespace: str, images: Mapping[str, str], bucket: S3Store, tmp_path: Path) -> Run:
    return Run(cluster, namespace, bucket.at(namespace), tmp_path, images)


def one_bad_file(run: Run) -> tuple[S3Store, list[Object]]:
    """A folder of the bucket with a file that has a bad row, and it as a source between two good ones."""
    files = run.store.at("files")
    files.put("rows.jsonl", b'{"prompt": "a cat"}\n{"prompt": \n')
    bad = {"kind": "jsonl", "name": "bad", "path": f"{files.url}/rows.jsonl"}
    first, last = grammars(QUICK, QUICK)
    return files, [first, bad, last]


def test_a_bad_shard_fails_its_index_alone_and_is_explained_when_pods_and_job_are_gone(run: Run) -> None:
    _, sources = one_bad_file(run)
    preset = run.configured(sources, retries=3)
    done = i2p(preset, "run", check=False)
    assert done.returncode == BAD_DATA, done.stdout + done.stderr
    assert "row 2 of rows.jsonl cannot be read" in done.stderr
    status = run.job()["status"]
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1", "0,2")
    assert len(run.pods()) == 3, "no index was tried twice"
    assert run.committed() == {"g0", "g1"}
    run.delete_jobs()
    noted = i2p(preset, "why", STAGE, "bad").stdout
    assert "row 2 of rows.jsonl cannot be read" in noted
    assert "Traceback" in noted


def test_a_failed_job_is_a_failure_for_its_own_call_and_history_for_the_next(run: Run) -> None:
    files, sources = one_bad_file(run)
    preset = run.configured(sources)
    assert i2p(preset, "run", check=False).returncode == BAD_DATA
    before = run.job()
    files.put("rows.jsonl", b'{"prompt": "a cat"}\n{"prompt": "a dog"}\n')
    i2p(preset, "run")
    after = {job["metadata"]["labels"]["image-to-prompts/generation"]: job for job in run.jobs()}
    assert sorted(after) == ["1", "2"]
    assert after["1"]["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["2"]["spec"]["completions"] == 1, "only what was missing"


def test_a_bad_configuration_fails_the_whole_job_at_once_in_the_worker_s_words(run: Run) -> None:
    """A file of this machine: whoever plans sees it, Pods do not."""
    here = run.folder / "prompts.txt"
    here.write_text("a cat\na dog\n")
    sources = [{"kind": "text", "name": "here", "path": str(here)}, *grammars(SLOW, SLOW)]
    preset = run.configured(sources, retries=3)
    done = i2p(preset, "run", check=False)
    assert done.returncode == BAD_CONFIGURATION, done.stdout + done.stderr
    assert f"there is no file '{here}'" in done.stderr
    (failed,) = (one for one in run.job()["status"]["conditions"] if one["type"] == "Failed")
    assert failed["reason"] == "PodFailurePolicy"
    assert len(run.pods()) <= len(sources), "nothing was tried again"


@pytest.fixture
def device(cluster: Cluster, namespace: str) -> Iterator[str]:
    """The name of a device of which one node has exactly one, and which no other test asks for."""
    name = f"{namespace}.example.com/device"
    node = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]

    def offer(change: Object) -> None:
        path = f"/status/capacity/{name.replace('/', '~1')}"
        cluster.kubectl(
            "patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps([{**change, "path": path}])
        )

    offer({"op": "add", "value": "1"})
    yield name
    offer({"op": "remove"})


@pytest.fixture
def priorities(cluster: Cluster, namespace: str) -> Iterator[tuple[str, str]]:
    """Two PriorityClasses, the lower one first, both below everybody else's Pods."""
    names = (f"{namespace}-low", f"{namespace}-high")
    for name, value in zip(names, (-2000, -1000), strict=True):
        cluster.apply(
            namespace,
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value},
        )
    yield names
    cluster.kubectl("delete", "priorityclass", *names)


def blocker(run: Run, priority: str, device: str) -> Object:
    """A Pod that takes the device for three seconds."""
    container = {
        "name": "main",
        "image": run.images[STAGE],
        "command": ["sleep", "3"],
        "resources": {"limits": {device: "1"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "restartPolicy": "Never",
        "priorityClassName": priority,
        "containers": [container],
        "securityContext": security,
        "terminationGracePeriodSeconds": 0,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "blocker"}, "spec": spec}


def test_a_preempted_pod_uses_no_retry_and_the_run_says_that_it_was_preempted(
    run: Run, device: str, priorities: tuple[str, str]
) -> None:
    low, high = priorities
    preset = run.configured(
        grammars(5 * SLOW), kubernetes={"gpu_resource": device}, retries=0, gpus=1, priority_class=low
    )
    with begun(preset, "run") as controller:
        first = wait_for(run.working)
        run.cluster.apply(run.namespace, blocker(run, high, device))
        second = wait_for(lambda: run.working(other_than=(first,)))
        out, err = controller.communicate(timeout=300)
    assert controller.returncode == OK, out + err
    assert "starts again without using a retry: preempted by a Pod of higher priority" in out
    (pod,) = run.pods()
    assert pod["metadata"]["name"] == second
    assert pod["metadata"]["annotations"][FAILURES] == "0"


def test_an_index_that_is_disrupted_again_and_again_ends_the_stage_and_may_be_run_again(run: Run) -> None:
    preset = run.configured(grammars(20 * SLOW), retries=0, max_disruptions=1)
    with begun(preset, "run") as controller:
        first = wait_for(run.working)
        run.evict(first)
        second = wait_for(lambda: run.working(other_than=(first,)))
        run.evict(second)
        out, err = controller.communicate(timeout=300)
    assert controller.returncode == TRY_AGAIN, out + err
    assert "index 0 was begun 3 times, more often than 0 retries and 1 disruptions allow" in err
    assert "starts again without using a retry: evicted" in out
    wait_for(lambda: not [pod for pod in run.pods() if pod["status"]["phase"] == "Running"])
    assert "begun 3 times" in i2p(preset, "status").stdout
    i2p(preset, "deploy", STAGE)
    wait_for(lambda: len(run.jobs()) == 2 and run.working(other_than=(first, second)))


def test_a_pod_that_somebody_deletes_uses_a_retry(run: Run) -> None:
    preset = run.configured(grammars(20 * SLOW), retries=0, grace_seconds=60)  # a fifth of a core says why in seconds
    i2p(preset, "deploy", STAGE)
    pod = wait_for(run.working)
    run.cluster.kubectl("delete", "pod", pod, "--wait=false", namespace=run.namespace)
    wait_for(lambda: run.job()["status"].get("failedIndexes") == "0")
    wait_for(lambda: [one for one in run.job()["status"]["conditions"] if one["type"] == "Failed"])
    assert "asked to stop by SIGTERM" in i2p(preset, "status").stdout


@pytest.mark.parametrize(
    ("resources", "kubernetes", "quota", "words"),
    [
        ({"gpus": 64}, {}, None, r"no node can take it \(it asks for 64 nvidia.com/gpu, .*Insufficient nvidia.com/gpu"),
        ({}, {}, NO_PODS, r"its Pods cannot be created: exceeded quota: small, requested: pods=1, used: pods=0"),
        (
            {},
            {"images": {STAGE: "localhost:5000/none-of-that-name:1"}},
            None,
            r"its image cannot be pulled \(\w+\): .*localhost:5000/none-of-that-name:1",
        ),
        (
            {},
            {"credentials": "nowhere"},
            None,
            r'its container cannot be made \(CreateContainerConfigError\): secret "nowhere" not found',
        ),
        ({}, {"service_account": "nobody"}, None, r'its Pods cannot be created: .*serviceaccount "nobody" not found'),
    ],
    ids=[
        "more GPUs than any node has",
        "a quota",
        "an image that is not there",
        "a Secret that is not there",
        "a service account that is not there",
    ],
)
def test_status_says_in_words_why_nothing_runs(
    run: Run, resources: Any, kubernetes: Any, quota: Any, words: str
) -> None:
    if quota:
        run.cluster.apply(run.namespace, quota)
    preset = run.configured(grammars(QUICK), kubernetes=kubernetes, **resources)
    i2p(preset, "deploy", STAGE)
    wait_for(lambda: re.search(words, noted := answer(preset, "status")[0]["job"]["summary"]) or print(noted))


def test_too_little_memory_is_reported_with_what_to_raise(run: Run) -> None:
    preset = run.configured(grammars(QUICK), retries=0, memory="32Mi", shared_memory="1Mi")
    done = i2p(preset, "run", check=False)
    assert done.returncode == TRY_AGAIN, done.stdout + done.stderr
    assert "it needed more than its 32Mi of memory; raise resources.memory" in done.stderr


def test_a_changed_configuration_replaces_the_job_and_keeps_what_is_committed(run: Run) -> None:
    i2p(run.configured(grammars(QUICK, 20 * SLOW), name="before"), "deploy", STAGE)
    wait_for(lambda: run.committed() == {"g0"} and run.working(1))
    before, stage = run.job(), run.store.at(RUN).at(STAGE)
    (record,) = stage.list("commits/")
    content = stage.read(record.name).data
    quicker = run.configured(grammars(QUICK, SLOW), name="after", memory="450Mi")
    done = i2p(quicker, "run")
    assert "its Job was submitted with another configuration: stopped, to be submitted anew" in done.stdout
    after = run.job()
    assert after["metadata"]["name"] != before["metadata"]["name"]
    assert after["spec"]["completions"] == 1
    assert {pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in run.pods()} == {
        after["metadata"]["name"]
    }
    assert stage.read(record.name).data == content
