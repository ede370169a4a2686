"""The whole graph as Jobs, the controller in the cluster too, installed and upgraded with Helm as its users do."""

from __future__ import annotations

import json
import os
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from jobs.shards.dataset import load_manifest
from jobs.shards.s3 import S3Store
from jobs.shards.store import overwrite
from tests.cluster.commands import answer, helm, i2p, written
from tests.cluster.conftest import CANARY, Cluster
from tests.cluster.graph import NAMES, configuration, digests, provide_models
from tests.e2e.runs import RUN
from tests.waiting import wait_for

CHART = "charts/training-run"
RELEASE = "whole"


@pytest.fixture(scope="module")
def home(cluster: Cluster, namespaces: Any) -> str:
    """One namespace for all tests here: they look at one run."""
    name: str = namespaces()
    provide_models(cluster, name)
    return name


@pytest.fixture(scope="module")
def finished(
    cluster: Cluster, home: str, images: dict[str, str], bucket: S3Store, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, S3Store]:
    """A finished run of the release, upgraded while `embed` ran; the preset's path and the run's store."""
    store = bucket.at(uuid.uuid4().hex)
    values = configuration(cluster, home, store, images)
    preset = written(values, tmp_path_factory.mktemp("whole"))
    helm("install", RELEASE, CHART, "-n", home, "-f", preset)
    wait_for(lambda: any(has_pods(job) for job in jobs_of(cluster, home, "embed")), 120, "embed to run")
    helm("upgrade", RELEASE, CHART, "-n", home, "-f", preset, "--set", "embed.resources.memory=1600Mi")
    values["embed"]["resources"] = {**values["embed"]["resources"], "memory": "1600Mi"}
    written(values, Path(preset).parent)
    wait_for(lambda: controller(cluster, home)["status"].get("succeeded"), 400, "the controller to finish")
    return preset, store


def jobs_of(cluster: Cluster, namespace: str, stage: str) -> list[dict[str, Any]]:
    return cluster.objects("jobs", namespace, "-l", f"image-to-prompts/stage={stage}")


def has_pods(job: dict[str, Any]) -> bool:
    return bool(job.get("status", {}).get("active"))


def controller(cluster: Cluster, namespace: str) -> dict[str, Any]:
    found = cluster.objects("jobs", namespace, "-l", "app.kubernetes.io/component=controller")
    return max(found, key=lambda job: job["metadata"]["creationTimestamp"])


def test_every_stage_comes_out_as_on_one_machine(finished: tuple[str, S3Store], reference: dict[str, str]) -> None:
    _, store = finished
    assert digests(store.at(RUN)) == reference


def test_an_upgrade_in_mid_run_replaced_just_the_job_that_it_changed(
    cluster: Cluster, home: str, finished: tuple[str, S3Store]
) -> None:
    jobs = cluster.objects("jobs", home, "-l", f"image-to-prompts/run={RUN}")
    generations: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        generations[job["metadata"]["labels"]["image-to-prompts/stage"]].append(job["metadata"]["name"])
    assert all(len(names) == 1 for names in generations.values()), generations
    (embed,) = jobs_of(cluster, home, "embed")
    assert embed["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1600Mi"


def test_the_roles_grant_exactly_the_verbs_that_were_used(
    cluster: Cluster, home: str, finished: tuple[str, S3Store]
) -> None:
    if not cluster.own:
        pytest.skip("reads the audit log of the API server, which somebody else's cluster does not show")
    (role,) = cluster.objects("roles", home)
    granted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    user = f"system:serviceaccount:{home}:{RELEASE}-controller"
    used = set()
    with Path(os.environ["TEST_CLUSTER_LOGS"], "audit.jsonl").open() as lines:
        for event in map(json.loads, (line for line in lines if user in line)):
            if event["user"]["username"] == user and "resource" in event.get("objectRef", {}):
                assert event["responseStatus"]["code"] < 400, event
                used.add((event["objectRef"]["resource"], event["verb"]))
                if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:  # server-side apply created it,
                    used.add((event["objectRef"]["resource"], "create"))  # for which the server asks for both verbs
    assert used == granted


def test_no_pod_is_left_running_and_none_without_its_job(
    cluster: Cluster, home: str, finished: tuple[str, S3Store]
) -> None:
    owners = {job["metadata"]["uid"] for job in cluster.objects("jobs", home)}
    for pod in cluster.objects("pods", home):
        assert pod["status"]["phase"] in ("Succeeded", "Failed"), pod["metadata"]["name"]
        assert pod["metadata"]["ownerReferences"][0]["uid"] in owners


def test_the_secret_is_in_no_manifest_log_or_object(cluster: Cluster, home: str, finished: tuple[str, S3Store]) -> None:
    _, store = finished
    everything = [
        cluster.kubectl("get", kind, "-o", "yaml", namespace=home)
        for kind in ("jobs", "pods", "configmaps", "events", "serviceaccounts", "services", "networkpolicies")
    ]
    everything += [
        cluster.kubectl("logs", pod["metadata"]["name"], "--all-containers", namespace=home)
        for pod in cluster.objects("pods", home)
    ]
    everything.append(helm("get", "all", RELEASE, "-n", home))
    assert all(len(text) > 20 for text in everything[-3:]), "looks at nothing"
    for secret in (CANARY, os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert not any(secret in text for text in everything)
        for stat in store.list(""):
            assert secret.encode() not in store.read(stat.name).data, stat.name


def test_every_image_is_pinned_and_each_stage_has_its_own(
    cluster: Cluster, home: str, finished: tuple[str, S3Store], images: dict[str, str]
) -> None:
    used = {
        job["metadata"]["labels"]["image-to-prompts/stage"]: job["spec"]["template"]["spec"]["containers"][0]["image"]
        for job in cluster.objects("jobs", home, "-l", f"image-to-prompts/run={RUN}")
    }
    assert used == {stage: image for stage, image in images.items() if stage != "controller"}
    assert all("@sha256:" in image for image in used.values())


def test_the_desk_sees_the_finished_run(finished: tuple[str, S3Store]) -> None:
    preset, _ = finished
    assert {row["state"] for row in answer(preset, "status")} == {"done"}
    assert answer(preset, "plan")["jobs"] == []
    assert answer(preset, "metrics")["samples"] > 5
    assert any(event["event"] == "committed" for event in answer(preset, "logs", "train"))


def test_every_stage_is_read_back_by_jobs_of_its_own_that_are_gone_then(
    cluster: Cluster, home: str, finished: tuple[str, S3Store]
) -> None:
    preset, store = finished
    found = answer(preset, "verify")
    assert set(found) == set(NAMES)
    assert all("shard" in text and "sample" in text for text in found.values()), found
    assert not jobs_of(cluster, home, "train-check")
    embedded = store.at(RUN).at("embed")
    manifest = load_manifest(embedded)
    assert manifest
    shard = manifest.shards[0].object
    whole = embedded.read(shard).data
    overwrite(embedded, shard, whole[:512] + bytes([whole[512] ^ 1]) + whole[513:])
    refused = i2p(preset, "verify", check=False)
    overwrite(embedded, shard, whole)
    assert refused.returncode == 65
    assert shard in refused.stderr


def test_helm_test_runs_the_doctor_and_uninstall_leaves_nothing(
    cluster: Cluster, home: str, finished: tuple[str, S3Store]
) -> None:
    noted = helm("test", RELEASE, "-n", home, "--logs")
    assert "create only if absent" in noted
    helm("uninstall", RELEASE, "-n", home, "--wait")
    wait_for(lambda: not cluster.objects("jobs", home), 60, "all Jobs to go")
    wait_for(lambda: not cluster.objects("pods", home), 60, "all Pods to go")
    assert not cluster.objects("roles", home)
    assert [one["metadata"]["name"] for one in cluster.objects("serviceaccounts", home)] == ["default"]
