"""A cluster in memory, at the level of the project's own API client: Jobs with indexes, retries and exit codes, Pods.

The Job controller acts between turns: it starts Pods, takes note of how they ended, and follows deletions. Pods run the
project's own `run_task`. A node may be lost: the Pod then counts as gone while its process goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, OK
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.stopping import Stopped
from jobs.runtime.task_description import TaskDescription
from pipeline.executors.kubernetes import labels
from pipeline.executors.kubernetes.client.api import JOBS, PODS, Listing, Resource
from pipeline.executors.kubernetes.client.api_errors import Conflict, Refused, Unreachable
from tests.simulation.world import Actor, World

Manifest = dict[str, Any]
Work = Callable[[TaskDescription, int, str], int]  # (task, index, attempt) -> exit code

_STOPS = "asked to stop by SIGTERM; what was committed is kept, a retry goes on from there"


@dataclass(slots=True)
class Rules:
    """How often something goes wrong: once in so many calls, or turns of a Pod."""

    refuses_once_in: int = 60
    pod_dies_once_in: int = 120  # calls of its own
    node_lost_once_in: int = 300  # turns with a Pod on it
    disrupted_once_in: int = 300


@dataclass(slots=True)
class Pod:
    """One attempt at one index."""

    name: str
    index: int
    actor: Actor
    forgotten: bool = False  # its node is lost: the cluster no longer looks at it
    disrupted: bool = False


@dataclass(slots=True)
class Job:
    """A Job and what its controller knows of it."""

    manifest: Manifest
    uid: str
    created: float
    pods: list[Pod] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    failures: Counter[int] = field(default_factory=Counter)
    attempts: int = 0
    ended: float = 0.0  # when it completed or failed
    condition: tuple[str, str] | None = None  # Complete or Failed, and the reason
    deleted: bool = False

    @property
    def spec(self) -> Manifest:
        spec: Manifest = self.manifest["spec"]
        return spec

    def as_stored(self) -> Manifest:
        """The object as the API server answers it."""
        conditions = []
        if self.condition:
            kind, reason = self.condition
            conditions.append({"type": kind, "status": "True", "reason": reason, "message": reason})
        meta = {**self.manifest["metadata"], "uid": self.uid, "creationTimestamp": _text(self.created)}
        if self.deleted:
            meta["deletionTimestamp"] = _text(self.created)
        living = sum(not pod.forgotten for pod in self.pods)
        failed = ",".join(map(str, sorted(self.failed)))
        status = {"conditions": conditions, "active": living, "ready": living, "failedIndexes": failed}
        return {**self.manifest, "metadata": meta, "status": status}


@dataclass
class Cluster:
    """The API server and the Job controller; `work` is what a Pod's container runs."""

    world: World
    work: Work
    rules: Rules = field(default_factory=Rules)
    jobs: dict[str, Job] = field(default_factory=dict)
    server: str = "https://cluster.simulated"
    namespace: str = "simulated"

    # what the project's client offers

    def list(self, resource: Resource, *, labels: str = "", fields: str = "", page: int = 0) -> Listing:
        self._call(f"list {resource.plural}")
        if resource is JOBS:
            name = fields.removeprefix("metadata.name=") if fields else ""
            return Listing(
                [job.as_stored() for job in self.jobs.values() if name in ("", job.manifest["metadata"]["name"])], "1"
            )
        pods = (
            [self._pod_as_stored(job, pod) for job in self.jobs.values() for pod in job.pods]
            if resource is PODS
            else []
        )
        return Listing(pods, "1")

    def get(self, resource: Resource, name: str) -> Manifest | None:
        self._call(f"get {resource.plural} {name}")
        job = self.jobs.get(name)
        return job.as_stored() if job else None

    def apply(self, resource: Resource, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        name = manifest["metadata"]["name"]
        self._call(f"apply {resource.plural} {name}")
        there = self.jobs.get(name)
        if there is None:
            there = Job(dict(manifest), f"uid-{len(self.world.trace)}", self.world.now)
            self.jobs[name] = there
        elif there.deleted:
            raise Conflict(f"{name} is being deleted")
        elif there.spec["completions"] != manifest["spec"]["completions"]:
            raise Refused(f"{name}: completions are immutable")
        self._lost_answer()
        return there.as_stored()

    def patch(self, resource: Resource, name: str, change: Mapping[str, Any]) -> Manifest | None:
        self._call(f"patch {resource.plural} {name}")
        job = self.jobs.get(name)
        if job is None:
            return None
        job.manifest = {**job.manifest, "spec": {**job.spec, **change.get("spec", {})}}
        self._lost_answer()
        return job.as_stored()

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        propagation: str = "Foreground",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> bool:
        self._call(f"delete {resource.plural} {name}")
        job = self.jobs.get(name)
        if job is None:
            return False
        if uid is not None and job.uid != uid:
            raise Conflict(f"{name} has another uid")
        job.deleted = True
        self._lost_answer()
        return True

    # what the Job controller does

    def reconcile(self) -> None:
        """One round, between two turns of actors."""
        for name, job in list(self.jobs.items()):
            self._take_note(job)
            if job.deleted or job.condition or job.spec.get("suspend"):
                self._stop_pods(job)
                ttl = job.spec["ttlSecondsAfterFinished"]
                if not job.pods and (job.deleted or (job.condition and self.world.now > job.ended + ttl)):
                    del self.jobs[name]
                continue
            self._conclude(job)
            if not job.condition:
                self._start_pods(job)
                self._disturb(job)

    def _take_note(self, job: Job) -> None:
        for pod in list(job.pods):
            if pod.forgotten:
                job.pods.remove(pod)
                continue
            if not pod.actor.done:
                continue
            job.pods.remove(pod)
            if pod.disrupted or job.condition or job.deleted or job.spec.get("suspend"):
                continue
            code = self._exit_code(pod)
            if code == OK:
                job.done.add(pod.index)
            elif code == BAD_CONFIGURATION:
                self._end(job, labels.FAILED, "PodFailurePolicy")
            elif code == BAD_DATA:
                job.failed.add(pod.index)
            else:
                job.failures[pod.index] += 1
                if job.failures[pod.index] > job.spec["backoffLimitPerIndex"]:
                    job.failed.add(pod.index)

    def _exit_code(self, pod: Pod) -> int:
        if pod.actor.error is not None:
            self.world.violate("no raw error", f"{pod.name}: {pod.actor.error!r}")
            return 1
        return 137 if pod.actor.dead else int(pod.actor.value)

    def _conclude(self, job: Job) -> None:
        completions = job.spec["completions"]
        if job.spec.get("activeDeadlineSeconds", 1e9) < self.world.now - job.created:
            self._end(job, labels.FAILED, "DeadlineExceeded")
        elif len(job.done) == completions:
            self._end(job, labels.COMPLETE, "")
        elif len(job.done) + len(job.failed) == completions:
            self._end(job, labels.FAILED, "FailedIndexes")

    def _end(self, job: Job, kind: str, reason: str) -> None:
        job.condition, job.ended = (kind, reason), self.world.now

    def _start_pods(self, job: Job) -> None:
        busy = {pod.index for pod in job.pods}
        for index in range(job.spec["completions"]):
            if len(job.pods) >= job.spec["parallelism"]:
                return
            if index not in busy and index not in job.done and index not in job.failed:
                job.attempts += 1
                name = f"{job.manifest['metadata']['name']}-{index}-{job.attempts:05d}"
                job.pods.append(Pod(name, index, self._start(job, index, name)))

    def _start(self, job: Job, index: int, name: str) -> Actor:
        (container,) = job.spec["template"]["spec"]["containers"]
        env = {one["name"]: one.get("value") for one in container["env"]}
        task = TaskDescription.from_variable(env[TASK_VARIABLE])
        return self.world.start(name, lambda: self.work(task, index, name), dies_once_in=self.rules.pod_dies_once_in)

    def _stop_pods(self, job: Job) -> None:
        for pod in job.pods:
            if not pod.disrupted:
                pod.disrupted, pod.actor.signal, pod.actor.wakes = True, Stopped(_STOPS), 0.0

    def _disturb(self, job: Job) -> None:
        if not self.world.faults or not job.pods:
            return
        pod = job.pods[0]
        if self.world.choices.happens(self.rules.node_lost_once_in):
            self.world.trace.append((self.world.now, pod.name, "its node is lost, and it goes on"))
            pod.forgotten = True
        elif not pod.disrupted and self.world.choices.happens(self.rules.disrupted_once_in):
            self.world.trace.append((self.world.now, pod.name, "is preempted"))
            pod.disrupted, pod.actor.signal, pod.actor.wakes = True, Stopped(_STOPS), 0.0

    def _pod_as_stored(self, job: Job, pod: Pod) -> Manifest:
        marks = {
            **job.spec["template"]["metadata"]["labels"],
            labels.JOB_NAME: job.manifest["metadata"]["name"],
            labels.INDEX: str(pod.index),
        }
        return {
            "metadata": {"name": pod.name, "uid": pod.name, "labels": marks},
            "spec": {"nodeName": "node"},
            "status": {"phase": "Running"},
        }

    def _call(self, what: str) -> None:
        self.world.call(what)
        if self.world.faults and self.world.choices.happens(self.rules.refuses_once_in):
            raise Unreachable(f"{what}: refused", 5.0)

    def _lost_answer(self) -> None:
        if self.world.faults and self.world.choices.happens(self.rules.refuses_once_in):
            raise Unreachable("the answer is lost", 5.0)


def _text(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).isoformat().replace("+00:00", "Z")
