"""The charts on a real cluster, in a namespace that enforces the restricted Pod Security Standard."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from jobs.shards.s3 import S3Store
from pipeline.executors.kubernetes import labels
from tests.charts import CHARTS, NAMES, SETS, laid_over
from tests.cluster.commands import helm, written
from tests.cluster.conftest import CANARY, SECRET, Cluster
from tests.waiting import wait_for

Object = dict[str, Any]

KINDS = "configmap,serviceaccount,role,rolebinding,networkpolicy,job,cronjob,pod,service,persistentvolumeclaim"
FIRST_PULL = 180.0  # seconds for a Pod whose image a node has to fetch first
SMALL = {"cpus": "50m", "memory": "500Mi", "scratch": "500Mi"}


@pytest.fixture(autouse=True)
def _program(cluster: Cluster) -> None:
    if not shutil.which("helm"):
        pytest.skip("needs the program helm")


def helm_fails(*arguments: str) -> str:
    """What helm says when it refuses."""
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.fixture
def releases(namespace: str, tmp_path: Path) -> Callable[..., str]:
    """releases("install", "one", CHART, values): helm in the test's namespace; returns what it prints."""

    def run(command: str, release: str, chart: str, values: Mapping[str, Any]) -> str:
        return helm(command, release, str(CHARTS / chart), "-n", namespace, "-f", written(values, tmp_path))

    return run


@pytest.fixture
def nothing_else(cluster: Cluster, namespace: str) -> Iterator[Callable[[], set[str]]]:
    """What is in the namespace beside what was there before."""

    def names() -> set[str]:
        return set(cluster.kubectl("get", f"{KINDS},secret", "-o", "name", namespace=namespace).split())

    everywhere = {"serviceaccount/default", "configmap/kube-root-ca.crt"}
    wait_for(lambda: everywhere <= names(), 30, "what is in every namespace")
    before = names()
    yield lambda: names() - before


def collecting(cluster: Cluster, bucket: S3Store, images: Mapping[str, str]) -> Object:
    """A run of one small stage."""
    return {
        "store": bucket.at(uuid.uuid4().hex).url,
        "stages": ["collect"],
        "collect": {
            "sources": [{"kind": "grammar", "name": "grammar", "seed": 1, "num_prompts": 50}],
            "resources": SMALL,
        },
        "kubernetes": {
            "images": dict(images),
            "credentials": SECRET,
            "env": {"AWS_ENDPOINT_URL": cluster.endpoint_in_pods, "AWS_DEFAULT_REGION": "us-east-1"},
        },
        "chart": {"controller": SMALL},
    }


def inferring(cluster: Cluster, bucket: S3Store, images: Mapping[str, str]) -> Object:
    """A batch that never starts by itself."""
    values = collecting(cluster, bucket, images)
    del values["stages"], values["collect"]
    incoming = {"infer": {"images": f"{values['store']}/incoming"}, "inputs": {"evaluate": "trained"}}
    return laid_over(values, {**incoming, "chart": {"suspend": True}})


def finished(cluster: Cluster, namespace: str, *, job: str) -> Object:
    """The Job of that name once it has ended."""

    def ended() -> Object | None:
        (one,) = (found for found in cluster.objects("job", namespace) if found["metadata"]["name"] == job)
        types = [one["type"] for one in one.get("status", {}).get("conditions", ()) if one["status"] == "True"]
        return one if {labels.COMPLETE, labels.FAILED} & set(types) else None

    found = wait_for(ended, FIRST_PULL, f"{job} to end")
    assert found
    return found


def controllers(cluster: Cluster, namespace: str) -> list[Object]:
    return cluster.objects("job", namespace, "-l", f"{labels.COMPONENT}=controller")


def test_a_training_run_lives_from_install_to_uninstall(
    cluster: Cluster,
    namespace: str,
    bucket: S3Store,
    images: dict[str, str],
    releases: Callable[..., str],
    nothing_else: Callable[[], set[str]],
) -> None:
    values = collecting(cluster, bucket, images)
    notes = releases("install", "one", "training-run", values)
    (controller,) = controllers(cluster, namespace)
    name = controller["metadata"]["name"]
    assert f"job/{name}" in notes
    done = finished(cluster, namespace, job=name)
    log = cluster.kubectl("logs", f"job/{name}", namespace=namespace)
    assert done["status"].get("succeeded") == 1, log
    assert not done["status"].get("failed"), log

    (stage,) = cluster.objects("job", namespace, "-l", f"{labels.STAGE}=collect")
    (owner,) = stage["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ConfigMap", "one")
    assert stage["spec"]["template"]["spec"]["serviceAccountName"] == "one-stages"

    noted = helm("test", "one", "-n", namespace, "--logs")
    assert "Phase:          Succeeded" in noted
    assert "create only if absent" in noted, "what doctor found is shown"
    assert not cluster.objects("pod", namespace, "-l", f"{labels.COMPONENT}=doctor")

    releases("upgrade", "one", "training-run", values)
    (kept,) = controllers(cluster, namespace)
    assert kept["metadata"]["uid"] == controller["metadata"]["uid"], "nothing changed"

    releases("upgrade", "one", "training-run", laid_over(values, {"collect": {"min_words": 2}}))
    (other,) = wait_for(
        lambda: [one for one in controllers(cluster, namespace) if one["metadata"]["name"] != name], 30, "another Job"
    )
    assert finished(cluster, namespace, job=other["metadata"]["name"])["status"].get("succeeded") == 1
    wait_for(lambda: len(controllers(cluster, namespace)) == 1, 60, "the former controller to go")

    everything = cluster.kubectl("get", KINDS, "-o", "json", namespace=namespace)
    assert CANARY not in everything + helm("get", "all", "one", "-n", namespace) + log + noted

    helm("uninstall", "one", "-n", namespace)
    wait_for(lambda: not nothing_else(), 90, "all of the release to go")
    assert S3Store(bucket.bucket).at(values["store"].split("/", 3)[3]).at("one").at("collect").stat("manifest.json")


def test_inference_lives_from_install_to_uninstall(
    cluster: Cluster,
    namespace: str,
    bucket: S3Store,
    images: dict[str, str],
    releases: Callable[..., str],
    nothing_else: Callable[[], set[str]],
) -> None:
    values = inferring(cluster, bucket, images)
    notes = releases("install", "nightly", "scheduled-inference", values)
    assert "cronjob/nightly" in notes
    changed = laid_over(values, {"chart": {"schedule": "@daily"}})
    releases("upgrade", "nightly", "scheduled-inference", changed)
    (cron_job,) = cluster.objects("cronjob", namespace)
    assert cron_job["spec"]["schedule"] == "@daily"

    (create,) = (line for line in notes.splitlines() if "create job" in line)
    cluster.kubectl(*shlex.split(create)[3:], namespace=namespace)
    pods = wait_for(
        lambda: cluster.objects("pod", namespace, "-l", f"{labels.COMPONENT}=controller"), 30, "a Pod to be admitted"
    )
    assert pods[0]["spec"]["containers"][0]["args"][0] == "batch"

    helm("uninstall", "nightly", "-n", namespace)
    wait_for(lambda: not nothing_else(), 90, "all of the release to go")


def test_helm_test_fails_where_doctor_does_and_says_why(
    cluster: Cluster, namespace: str, bucket: S3Store, images: dict[str, str], releases: Callable[..., str]
) -> None:
    values = laid_over(inferring(cluster, bucket, images), {"store": "s3://i2p-there-is-no-such-bucket/runs"})
    releases("install", "nightly", "scheduled-inference", values)
    noted = helm_fails("test", "nightly", "-n", namespace)
    assert "Phase:          Failed" in noted
    assert "i2p-there-is-no-such-bucket" in noted
    assert not cluster.objects("pod", namespace, "-l", f"{labels.COMPONENT}=doctor")


def test_a_misspelt_value_is_refused_before_anything_is_made(
    cluster: Cluster, namespace: str, tmp_path: Path, nothing_else: Callable[[], set[str]]
) -> None:
    values = laid_over(SETS["smallest"], {"train": {"epoch": 3}})
    noted = helm_fails("install", "one", str(CHARTS / "training-run"), "-n", namespace, "-f", written(values, tmp_path))
    assert "'epoch' not allowed" in noted
    assert not nothing_else()


@pytest.mark.parametrize("chart", NAMES)
def test_rights_are_what_the_role_says(
    cluster: Cluster, namespace: str, releases: Callable[..., str], chart: str
) -> None:
    releases("install", "one", chart, SETS["gang"])

    def may(account: str, verb: str, resource: str) -> bool:
        who = f"system:serviceaccount:{namespace}:one-{account}"
        noted = cluster.kubectl("auth", "can-i", verb, resource, "--as", who, namespace=namespace, check=False)
        return noted.strip() == "yes"

    assert all(may("controller", verb, "jobs.batch") for verb in ("create", "delete", "list", "patch", "watch"))
    assert may("controller", "list", "pods")
    assert may("controller", "create", "services") is (chart == "training-run")
    assert may("controller", "get", "configmap/one") is (chart == "training-run")
    assert not may("controller", "get", "configmap/two")
    assert not any(may("controller", "get", one) for one in ("secrets", "pods", "pods/log", "jobs.batch"))
    assert not any(may("stages", "list", one) for one in ("pods", "jobs.batch", "secrets", "configmaps"))


@pytest.mark.parametrize("chart", NAMES)
def test_the_server_admits_all_that_is_rendered(cluster: Cluster, namespace: str, chart: str) -> None:
    """Strictly, and the Pods of Jobs as Pods too, since their admission comes later."""
    with helm_python.Chart.load(CHARTS / chart) as loaded:
        for number, values in enumerate(SETS.values()):
            plain = laid_over(values, {"kubernetes": {"namespace": namespace}})
            files = loaded.render(plain, name=f"release-{number}", namespace=namespace)
            objects = [
                one
                for name, text in files.items()
                if not name.endswith("NOTES.txt")
                for one in yaml.safe_load_all(text)
                if one
            ]
            pods = [pod_of(one, number) for one in objects if one["kind"] in ("Job", "CronJob", "Pod")]
            objects = [one for one in objects if one["kind"] != "Pod"] + pods
            everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
            cluster.kubectl(
                "create", "--dry-run=server", "--validate=strict", "-f", "-", namespace=namespace, text=everything
            )


def pod_of(workload: Object, number: int) -> Object:
    """A Pod as it comes from a Job; what it refers to outside of the chart is not there and left out."""
    spec = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if workload["kind"] != "Pod":
        spec = spec["template"]["spec"]
    elsewhere = ("serviceAccountName", "priorityClassName")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{number}-{workload['kind'].lower()}"},
        "spec": {name: value for name, value in spec.items() if name not in elsewhere},
    }
