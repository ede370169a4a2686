"""Every manifest of a stage: its Indexed Job, and the headless Service of a gang. Plain dicts, pure functions.

Limits and reasons are in the enhancement proposals of Kubernetes that each field names; all fields are stable in 1.33.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, PEER_LOST, BadConfiguration
from jobs.runtime.task import ATTEMPT_VARIABLE, TASK_VARIABLE
from jobs.shards.digests import digest_of
from pipeline.configuration.resources import Kubernetes, Toleration
from pipeline.executors.kubernetes import labels
from pipeline.planning.job_plan import JobPlan

Manifest = dict[str, Any]

CONTROLLER = "controller"  # the one image that is no stage's
USER = 65532  # of every image; numeric, so that the kubelet can prove that it is not root

# Of a run's name in a Job's. <job>-<index> is a host name of at most 63 letters, and of <job>-<index>- only 58 make it
# into the name of a Pod, by which its log is known; the Job's name would be cut, not the index.
_RUN_DIGITS = 22
_LONGEST_NAME = 58
_MASTER_PORT = 29_400
_TERMINATION_LOG = "/dev/termination-log"


def job(plan: JobPlan, cluster: Kubernetes, *, invocation: str = "", owner: Manifest | None = None) -> Manifest:
    """The Indexed Job of one stage and generation; raises BadConfiguration when the stage has no image."""
    spec, size = plan.task, plan.resources
    name = job_name(plan, cluster)
    marks = (
        cluster.labels
        | run_labels(plan.store_label, spec.run)
        | {
            labels.STAGE: plan.name,
            labels.COMPONENT: spec.stage,
            labels.GENERATION: str(plan.generation),
            labels.WORK: work(plan, cluster),
        }
    )
    told = {labels.QUEUE: cluster.queue} if cluster.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": marks | told | ({labels.INVOCATION: invocation} if invocation else {}),
            "annotations": {labels.STORE: spec.store},
            **({"ownerReferences": [owner]} if owner else {}),
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": spec.completions,
            "parallelism": spec.completions if spec.gang else min(size.parallelism, spec.completions),
            "backoffLimitPerIndex": size.retries,
            **_limits(plan),
            **_tolerated(plan),
            "podReplacementPolicy": "Failed",  # an index waits until its Pod is gone for certain
            "podFailurePolicy": {"rules": _exit_contract(gang=spec.gang)},
            "ttlSecondsAfterFinished": cluster.ttl_seconds,
            "template": {"metadata": {"labels": marks}, "spec": _pod(plan, cluster, name)},
        },
    }


def service(job_manifest: Mapping[str, Any], uid: str | None = None) -> Manifest:
    """The headless Service by which a gang's Pods find each other; it goes when its Job, which has this uid, does."""
    name = job_manifest["metadata"]["name"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "labels": job_manifest["spec"]["template"]["metadata"]["labels"],
            **({"ownerReferences": [owner]} if uid else {}),
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # a Pod asks for the others before any is ready
            "selector": {labels.JOB_NAME: name},
            "ports": [{"name": "rendezvous", "port": _MASTER_PORT}],
        },
    }


def is_gang(job_manifest: Mapping[str, Any]) -> bool:
    """Whether the Job's Pods need a Service to find each other."""
    return "subdomain" in job_manifest["spec"]["template"]["spec"]


def run_labels(store_label: str, run: str) -> dict[str, str]:
    """The labels that everything of a run carries; `store_label` is the configuration's."""
    return {
        labels.APP: labels.APP_NAME,
        labels.MANAGED_BY: labels.MANAGER,
        labels.RUN: run,
        labels.STORE: store_label,
    }


def selector(store_label: str, run: str) -> str:
    """The label selector of everything of a run."""
    return ",".join(f"{name}={value}" for name, value in run_labels(store_label, run).items())


def job_name(plan: JobPlan, cluster: Kubernetes) -> str:
    """Run, stage, generation and digits of what shapes the Job: a template is immutable, another one is another Job."""
    run = plan.task.run if plan.task.run[0].isalpha() else f"r{plan.task.run}"  # a Service's name begins with a letter
    rest = f"-{plan.name}-{plan.generation}-{work(plan, cluster)}"
    return run[: min(_RUN_DIGITS, _LONGEST_NAME - len(rest))].rstrip("-") + rest


def work(plan: JobPlan, cluster: Kubernetes) -> str:
    """Digits of everything that shapes the Job, but for how much of it is left and how many do it at once.

    So two controllers that look at different moments, or after different progress, name the same Job.
    """
    whole = plan.task.model_copy(update={"units": None, "completions": plan.resources.pods})
    all_of_it = replace(plan, task=whole, generation=0)
    pod = _pod(all_of_it, cluster, "")
    limits = _limits(all_of_it)
    return digest_of([pod, limits, plan.resources.retries, cluster.queue, cluster.ttl_seconds, plan.store_label])[:8]


def image(cluster: Kubernetes, stage: str) -> str:
    """The image of a stage or of the controller; raises BadConfiguration when none is named."""
    if found := cluster.images.get(stage):
        return found
    raise BadConfiguration(
        f"kubernetes.images.{stage}: required to run on a cluster, but not given; `make images REGISTRY=…` builds all "
        "images and writes images/built.yaml: add --values images/built.yaml"
    )


def _limits(plan: JobPlan) -> Manifest:
    size = plan.resources
    if plan.task.gang:
        return {
            "maxFailedIndexes": 0,  # a world with one rank less is none
            "successPolicy": {"rules": [{"succeededIndexes": "0"}]},  # index 0 commits; the others only helped
            **({"activeDeadlineSeconds": size.deadline_seconds} if size.deadline_seconds else {}),
        }
    return {
        **({"maxFailedIndexes": size.max_failed_indexes} if size.max_failed_indexes is not None else {}),
        **({"activeDeadlineSeconds": size.deadline_seconds} if size.deadline_seconds else {}),
    }


def _tolerated(plan: JobPlan) -> Manifest:
    """How many indexes may fail: no more than there are, or the API server refuses the Job that makes the last few."""
    some = _limits(plan).get("maxFailedIndexes")
    return {} if some is None else {"maxFailedIndexes": min(some, plan.task.completions)}


def _exit_contract(*, gang: bool) -> list[Manifest]:
    """What a Pod's end means (jobs/errors.py); the first rule that matches counts.

    The condition comes first: a preempted Pod may end with any code, and 137 says nothing. A gang's Pod that ends
    because another one did uses no retry: why that one ended is what counts.
    """
    return [
        {"action": "Ignore", "onPodConditions": [{"type": labels.DISRUPTED, "status": "True"}]},
        *([{"action": "Ignore", "onExitCodes": _exit_code(PEER_LOST)}] if gang else []),
        {"action": "FailJob", "onExitCodes": _exit_code(BAD_CONFIGURATION)},
        {"action": "FailIndex", "onExitCodes": _exit_code(BAD_DATA)},
    ]


def _exit_code(code: int) -> Manifest:
    return {"containerName": labels.CONTAINER, "operator": "In", "values": [code]}


def _pod(plan: JobPlan, cluster: Kubernetes, name: str) -> Manifest:
    size = plan.resources
    priority = size.priority_class or cluster.priority_class
    nodes = cluster.node_selector | size.node_selector
    tolerations = _unique([*cluster.tolerations, *size.tolerations]) + _lost_node(cluster.node_lost_seconds)
    return {
        "restartPolicy": "Never",
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": size.grace_seconds,
        "securityContext": pod_security(),
        **({"priorityClassName": priority} if priority else {}),
        **({"nodeSelector": nodes} if nodes else {}),
        "tolerations": tolerations,
        **({"imagePullSecrets": [{"name": one} for one in cluster.image_pull_secrets]}
           if cluster.image_pull_secrets else {}),
        **({"subdomain": name} if plan.resources.pods > 1 else {}),
        "topologySpreadConstraints": [_spread(name)],
        "containers": [_container(plan, cluster, name)],
        "volumes": _volumes(plan, cluster),
    }  # fmt: skip


def pod_security() -> Manifest:
    """What the Pod Security Standard "restricted" asks of a Pod; a group, so that volumes can be written to."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """What it asks of a container, and a root file system that nobody writes to."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _container(plan: JobPlan, cluster: Kubernetes, name: str) -> Manifest:
    size = plan.resources
    gpus = {cluster.gpu_resource: str(size.gpus)} if size.gpus else {}
    always = {"memory": size.memory, "ephemeral-storage": size.scratch, **gpus}
    return {
        "name": labels.CONTAINER,
        "image": image(cluster, plan.stage),
        "imagePullPolicy": cluster.image_pull_policy,
        "env": _environment(plan, cluster, name),
        **({"envFrom": [{"secretRef": {"name": cluster.credentials}}]} if cluster.credentials else {}),
        "resources": {"requests": {"cpu": size.cpus, **always}, "limits": always},
        "securityContext": container_security(),
        "terminationMessagePath": _TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the Pod's own
            {"name": "cache", "mountPath": "/cache"},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
            *([{"name": "models", "mountPath": cluster.models_path, "readOnly": True}] if cluster.models else []),
        ],
    }


def _environment(plan: JobPlan, cluster: Kubernetes, name: str) -> list[Manifest]:
    own = {TASK_VARIABLE: plan.task.to_variable(), "I2P_TERMINATION_LOG": _TERMINATION_LOG}
    if plan.task.gang:
        own["I2P_MASTER"] = f"{f'{name}-0.{name}' if plan.resources.pods > 1 else 'localhost'}:{_MASTER_PORT}"
        own["I2P_PROCESSES"] = str(max(1, plan.resources.gpus))
    return [
        *({"name": variable, "value": value} for variable, value in sorted((cluster.env | own).items())),
        {"name": ATTEMPT_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]


def _volumes(plan: JobPlan, cluster: Kubernetes) -> list[Manifest]:
    size = plan.resources
    cache: Manifest = (
        {"persistentVolumeClaim": {"claimName": cluster.cache}}
        if cluster.cache
        else {"emptyDir": {"sizeLimit": size.scratch}}
    )
    models = {"claimName": cluster.models, "readOnly": True}
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": size.scratch}},
        {"name": "cache", **cache},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": size.shared_memory}},
        *([{"name": "models", "persistentVolumeClaim": models}] if cluster.models else []),
    ]


def _spread(name: str) -> Manifest:
    """Over nodes as evenly as there is room: one lost node then costs the fewest indexes."""
    return {
        "maxSkew": 1,
        "topologyKey": labels.HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {labels.JOB_NAME: name}},
    }


def _lost_node(seconds: int) -> list[Manifest]:
    """Instead of the five minutes that a cluster gives every Pod on a node that stops answering."""
    return [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": seconds,
        }
        for state in ("not-ready", "unreachable")
    ]


def _unique(tolerations: Sequence[Toleration]) -> list[Manifest]:
    found: list[Manifest] = []
    for one in tolerations:
        plain = one.model_dump(exclude_none=True)
        if plain not in found:
            found.append(plain)
    return found
