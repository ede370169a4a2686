"""Every rendered manifest is one that real API servers take, in a namespace that enforces the restricted profile."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest

from jobs.catalog import STAGES, stage_named
from jobs.runtime.task_description import TaskDescription
from pipeline.configuration.run_config import RunConfig, check_config
from pipeline.executors.kubernetes import manifests
from pipeline.executors.kubernetes.client.api import JOBS, PODS, SERVICES, Api
from pipeline.executors.kubernetes.client.api_errors import Forbidden, Refused
from pipeline.planning.job_plan import JobPlan
from tests.cluster.conftest import SECRET, Cluster

COMBINATIONS = 120
VERSIONS = [f"1.{minor}" for minor in range(33, 38)]
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "run", "uid": "6f7cf3c5-6b1d-4a9e-9a53-2d8f1d0b3c11"}
RESOURCES: dict[str, list[Any]] = {
    "gpus": [0, 1, 8],
    "parallelism": [1, 64, 1000],
    "retries": [0, 3],
    "deadline_seconds": [None, 86_400],
    "max_failed_indexes": [None, 0, 10],
    "max_disruptions": [0, 20],
    "priority_class": [None, "PRIORITY"],
    "cpus": ["500m", "16"],
    "memory": ["4Gi", "1.5G"],
    "node_selector": [{}, {"node.kubernetes.io/instance-type": "p4d.24xlarge", "pool": "gpu"}],
    "tolerations": [
        [],
        [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        [{"operator": "Exists"}, {"key": "spot", "value": "true", "effect": "NoExecute"}],
        [{"key": "busy", "operator": "Equal", "value": "yes", "effect": "PreferNoSchedule"}],
    ],
}
CLUSTER: dict[str, list[Any]] = {
    "queue": [None, "team-a"],
    "models": [None, "models"],
    "models_path": ["/models", "/mnt/models/v2"],
    "cache": [None, "cache"],
    "credentials": [None, SECRET],
    "image_pull_policy": ["IfNotPresent", "Always"],
    "image_pull_secrets": [[], ["registry"], ["registry", "mirror"]],
    "service_account": ["default", "with-bucket"],
    "env": [{}, {"AWS_ENDPOINT_URL": "http://s3.example.com:9000", "EMPTY": "", "LINES": "a\nb: $(c)"}],
    "priority_class": [None, "PRIORITY"],
    "gpu_resource": ["nvidia.com/gpu", "amd.com/gpu"],
    "tolerations": [[], [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]],
    "ttl_seconds": [60, 604_800],
}
RUNS = ["a", "small-2", "2" + "0123456789" * 4 + "-" + "z" * 6]


@pytest.fixture
def priority(cluster: Cluster, namespace: str) -> Iterator[str]:
    """An existing PriorityClass."""
    name = f"{namespace}-some"
    cluster.apply(
        namespace,
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": -1000},
    )
    yield name
    cluster.kubectl("delete", "priorityclass", name)


def rendered(number: int, priority: str) -> list[dict[str, Any]]:
    """The manifests of one combination, drawn by its number; the stages take turns."""
    draw = random.Random(number)  # noqa: S311 - has to be the same again
    spec = STAGES[number % len(STAGES)]
    resources = {name: draw.choice(values) for name, values in RESOURCES.items()}
    if spec.gang:
        resources["pods"] = draw.choice([1, 2])
    settings = {name: draw.choice(values) for name, values in CLUSTER.items()}
    for target in (resources, settings):
        target["priority_class"] = target["priority_class"] and priority
    settings["images"] = {spec.name: f"registry.example.com/prompts/{spec.name}@sha256:{'0' * 64}"}
    config = check_config(
        {
            "run": draw.choice(RUNS),
            "store": "s3://bucket/prefix",
            "kubernetes": settings,
            spec.name: {"resources": resources},
        }
    )
    owner = draw.choice([None, OWNER])
    job = manifests.job(planned(config, spec.name, draw), config.kubernetes, invocation="0" * 32, owner=owner)
    return [job, manifests.service(job, OWNER["uid"])] if manifests.is_gang(job) else [job]


def planned(config: RunConfig, stage: str, draw: random.Random) -> JobPlan:
    spec = stage_named(stage)
    size = config.resources(spec)
    units = draw.choice([None, tuple(f"train-{number:05d}" for number in range(3))])
    completions = size.parallelism if spec.parallel else size.pods
    task = TaskDescription(
        store=config.store,
        run=config.run,
        stage=stage,
        params=config.params(spec).model_dump(mode="json"),
        inputs=dict.fromkeys(spec.inputs, "0" * 64),
        completions=completions,
        units=units,
        gang=size.pods > 1 or (spec.gang and size.gpus > 1),
    )
    return JobPlan(task=task, generation=draw.choice([1, 99]), resources=size)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """A Pod as the Job makes them: the restricted profile is enforced on Pods alone."""
    template = job["spec"]["template"]
    meta = {"name": f"{job['metadata']['name']}-0", "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def take(api: Api, job: dict[str, Any], *services: dict[str, Any]) -> None:
    """Let the server validate and admit all of it; raises what it says against it."""
    api.apply(JOBS, job, dry_run=True)
    api.apply(PODS, pod_of(job), dry_run=True)
    for service in services:
        api.apply(SERVICES, service, dry_run=True)


@pytest.fixture
def api(cluster: Cluster, namespace: str) -> Api:
    """The namespace with the accounts that the manifests name."""
    cluster.kubectl("create", "serviceaccount", "with-bucket", namespace=namespace)
    return Api.connect(namespace=namespace)


def test_the_api_server_takes_every_manifest_strictly_and_restricted(api: Api, priority: str) -> None:
    taken = [rendered(number, priority) for number in range(COMBINATIONS)]
    for job, *services in taken:
        take(api, job, *services)
    assert {job["metadata"]["labels"]["image-to-prompts/stage"] for job, *_ in taken} == {spec.name for spec in STAGES}
    assert sum(len(some) > 1 for some in taken) > 2, "gangs"
    assert sum("kueue.x-k8s.io/queue-name" in job["metadata"]["labels"] for job, *_ in taken) > COMBINATIONS / 4


def test_the_api_server_refuses_a_misspelt_field_and_a_pod_that_is_not_restricted(api: Api, priority: str) -> None:
    job, *_ = rendered(0, priority)
    misspelt = copy.deepcopy(job)
    misspelt["spec"]["backoffLimitPerIndx"] = 3
    with pytest.raises(Refused, match="backoffLimitPerIndx"):
        take(api, misspelt)
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimitPerIndx"):
        kubernetes_validate.validate(misspelt, VERSIONS[0], strict=True)
    unconfined = copy.deepcopy(job)
    del unconfined["spec"]["template"]["spec"]["securityContext"]["seccompProfile"]
    with pytest.raises(Forbidden, match="seccompProfile"):
        take(api, unconfined)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_for_the_schemas_of_a_version(version: str) -> None:
    for number in range(COMBINATIONS):
        for one in rendered(number, "some"):
            kubernetes_validate.validate(one, version, strict=True)
