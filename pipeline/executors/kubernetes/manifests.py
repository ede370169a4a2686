"""Every manifest of a stage: its Indexed Job, and the headless Service of a gang. Plain dicts, pure functions.

Limits and reasons are in the enhancement proposals of Kubernetes that each field names; all fields are stable in 1.33.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, PEER_LOST, BadConfiguration
from jobs.runtime import environment
from jobs.runtime.task_description import TaskDescription
from jobs.shards.digests import digest_of
from pipeline.configuration.resources import Kubernetes
from pipeline.executors.kubernetes import labels
from pipeline.executors.kubernetes.pod import Variant, Volume, failure_policy, field_variable, pod_spec
from pipeline.executors.kubernetes.pod_sources import Configured, KubernetesObject
from pipeline.planning.job_plan import JobPlan

# Of a run's name in a Job's. <job>-<index> is a host name of at most 63 letters, and of <job>-<index>- only 58 make it
# into the name of a Pod, by which its log is known; the Job's name would be cut, not the index.
_RUN_DIGITS = 22
_LONGEST_NAME = 58
_MASTER_PORT = 29_400
_TERMINATION_LOG = "/dev/termination-log"


def job(
    plan: JobPlan, cluster: Kubernetes, *, invocation: str = "", owner: KubernetesObject | None = None
) -> KubernetesObject:
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
    queue = {labels.QUEUE: cluster.queue} if cluster.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": marks | queue | ({labels.INVOCATION: invocation} if invocation else {}),
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
            "podFailurePolicy": _failure_policy(gang=spec.gang),
            "ttlSecondsAfterFinished": cluster.ttl_seconds,
            "template": {"metadata": {"labels": marks}, "spec": _pod(plan, cluster, name)},
        },
    }


def service(job_manifest: Mapping[str, Any], uid: str | None = None) -> KubernetesObject:
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
    """Digits of everything that shapes the Job, but for how much of it is left, how many do it at once, and what other
    runs there were.

    So two controllers that look at different moments, or after different progress, name the same Job.
    """
    asked = plan.task.model_dump(exclude={"earlier"}, exclude_unset=True)
    whole = TaskDescription(**{**asked, "units": None, "completions": plan.resources.pods})
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


def _limits(plan: JobPlan) -> KubernetesObject:
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


def _tolerated(plan: JobPlan) -> KubernetesObject:
    """How many indexes may fail: no more than there are, or the API server refuses the Job that makes the last few."""
    some = _limits(plan).get("maxFailedIndexes")
    return {} if some is None else {"maxFailedIndexes": min(some, plan.task.completions)}


def _failure_policy(*, gang: bool) -> KubernetesObject:
    """A gang's Pod that ends because another one did uses no retry: why that one ended is what counts."""
    ignored = (PEER_LOST,) if gang else ()
    return failure_policy(labels.CONTAINER, ignore=ignored, fail_job=(BAD_CONFIGURATION,), fail_index=(BAD_DATA,))


def _pod(plan: JobPlan, cluster: Kubernetes, name: str) -> KubernetesObject:
    size = plan.resources
    memory = {"emptyDir": {"medium": "Memory", "sizeLimit": size.shared_memory}}
    variant = Variant(
        container=labels.CONTAINER,
        image=image(cluster, plan.stage),
        service_account=cluster.service_account,
        api_token=False,
        variables=_variables(plan, name),
        env=[field_variable(environment.ATTEMPT_VARIABLE, "metadata.name")],
        devices={cluster.gpu_resource: str(size.gpus)} if size.gpus else {},
        tolerations=_lost_node(cluster.node_lost_seconds),
        volumes=[Volume(name="shared-memory", path="/dev/shm", holds=memory)],  # noqa: S108 - the Pod's own
        fields={
            "terminationGracePeriodSeconds": size.grace_seconds,
            **({"subdomain": name} if size.pods > 1 else {}),
            "topologySpreadConstraints": [_spread(name)],
        },
        container_fields={"terminationMessagePath": _TERMINATION_LOG},
    )
    return pod_spec(Configured(cluster, size), variant)


def _variables(plan: JobPlan, name: str) -> dict[str, str]:
    found = {environment.TASK_VARIABLE: plan.task.to_variable(), environment.TERMINATION_VARIABLE: _TERMINATION_LOG}
    if plan.task.gang:
        host = f"{name}-0.{name}" if plan.resources.pods > 1 else "localhost"
        found[environment.MASTER_VARIABLE] = f"{host}:{_MASTER_PORT}"
        found[environment.PROCESSES_VARIABLE] = str(max(1, plan.resources.gpus))
    return found


def _spread(name: str) -> KubernetesObject:
    """Over nodes as evenly as resources allow: one lost node then costs the fewest indexes."""
    return {
        "maxSkew": 1,
        "topologyKey": labels.HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {labels.JOB_NAME: name}},
    }


def _lost_node(seconds: int) -> list[KubernetesObject]:
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
