"""Runs stages as Indexed Jobs of a cluster. LIST decides; the watch only shortens the wait; nothing is remembered
that a restarted controller would need.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, PEER_LOST, STORE_AWAY, TRY_AGAIN
from jobs.runtime.environment import INVOCATION_VARIABLE, JOB_NAME_VARIABLE, OWNER_VARIABLE
from jobs.shards.store import Store
from pipeline.configuration.resources import Kubernetes
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.attempts import counted
from pipeline.executors.base import JobState, JobStatus, Observation
from pipeline.executors.kubernetes import labels, manifests, reasons
from pipeline.executors.kubernetes.attempt_logs import AttemptLogs, begun_by_index, indexes_in, worst
from pipeline.executors.kubernetes.client.api import CONFIG_MAPS, EVENTS, JOBS, PODS, SERVICES, Api
from pipeline.executors.kubernetes.client.api_errors import Conflict, Refused
from pipeline.executors.kubernetes.client.watch import Watch
from pipeline.executors.kubernetes.ended_pods import EndedPods
from pipeline.planning.job_plan import JobPlan

_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 3600.0
_PASSED_SECONDS = 1  # a deadline that any Job with an attempt has passed
_CREATES_PODS_SECONDS = 5.0  # a Job without Pods is no surprise when it is younger

Object = dict[str, Any]


def scheduled_timestamp(api: Api, job: str) -> str | None:
    """When the CronJob wanted this Job to run, or when it was made by hand; None where there is no such Job."""
    for found in api.list(JOBS, fields=f"metadata.name={job}").items:
        meta = found["metadata"]
        return str(meta.get("annotations", {}).get(labels.SCHEDULED) or meta["creationTimestamp"])
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who submits Jobs: one call of `i2p run`, which in a cluster survives the restarts of its Pod."""

    invocation: str
    owner: Object | None = None  # what a stage's Jobs are deleted with
    in_cluster: bool = False

    @classmethod
    def of_environment(cls, api: Api, env: Mapping[str, str] = os.environ) -> Caller:
        """From what the charts set; a call at somebody's desk has a name of its own and owns nothing."""
        invocation, job = env.get(INVOCATION_VARIABLE), env.get(JOB_NAME_VARIABLE, "")
        if not invocation:
            return cls(uuid.uuid4().hex)
        if name := env.get(OWNER_VARIABLE):
            found = api.get(CONFIG_MAPS, name)
            owner = (
                {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": found["metadata"]["uid"]}
                if found
                else None
            )
        else:
            owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": invocation}
        return cls(invocation, owner, in_cluster=True)


class KubernetesExecutor:
    """The Jobs of one run in one namespace."""

    at_once = None
    patience_seconds = _PATIENCE_SECONDS

    def __init__(self, api: Api, store: Store, config: RunConfig, caller: Caller) -> None:
        self._api, self._store, self._caller = api, store, caller
        self._cluster: Kubernetes = config.kubernetes
        self._selector = manifests.selector(config.store_label, config.run)
        self._size = {spec.name: config.resources(spec) for spec in config.specs}
        self._logs = {spec.name: AttemptLogs(store.at(spec.name)) for spec in config.specs}
        self._newest: dict[str, Object] = {}  # Jobs by stage, as of the last look
        self._history: set[str] | None = None  # uids of Jobs that had failed before this call began
        self._served: set[str] = set()  # uids of gangs whose Service is there
        self._ended = EndedPods()
        self._noted: set[tuple[str, str]] | None = None  # uids of Pods whose end was reported, and nodes they hang on
        self._watch: Watch | None = None

    def observe(self, plans: Mapping[str, JobPlan]) -> Observation:
        """One look: two lists of the cluster, and what the attempts logged; raises ClusterError, StoreError."""
        jobs = self._api.list(JOBS, labels=self._selector).items
        pods = self._api.list(PODS, labels=self._selector, fields="status.phase!=Succeeded").items
        if self._history is None:
            self._history = {job["metadata"]["uid"] for job in jobs if self._is_history(job)}
        self._newest = newest_by_stage(jobs)
        self._ended.look(pods)
        statuses = {
            stage: self._status(stage, job, plans.get(stage), pods_of(job, pods))
            for stage, job in self._newest.items()
            if stage in self._size
        }
        for stage in statuses:
            self._serve(self._newest[stage])
        return Observation(statuses, tuple(self._notes(pods)))

    def submit(self, plan: JobPlan) -> None:
        self._size.setdefault(plan.name, plan.resources)  # a check is known from here on
        self._logs.setdefault(plan.name, AttemptLogs(self._store.at(plan.stage)))
        job = manifests.job(plan, self._cluster, invocation=self._caller.invocation, owner=self._caller.owner)
        try:
            self._serve(self._api.apply(JOBS, job))
        except (Conflict, Refused):
            # Another controller submitted it after other progress: the same work, cut into another number of indexes.
            if self._api_has(job["metadata"]["name"]) is None:
                raise

    def remove(self, stage: str) -> None:
        job = self._newest[stage]["metadata"]
        self._api.delete(JOBS, job["name"], uid=job["uid"])

    def hold(self, stage: str, *, suspend: bool) -> None:
        self._api.patch(JOBS, self._newest[stage]["metadata"]["name"], {"spec": {"suspend": suspend}})

    def wait(self) -> None:
        if self._watch is None:
            self._watch = Watch(self._api, JOBS, labels=self._selector)
            self._watch.__enter__()
        self._watch.wait(_LOOK_SECONDS)

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """Let the Jobs go on: a controller that comes back finds them."""
        if self._watch is not None:
            self._watch.__exit__(None, None, None)

    def _api_has(self, name: str) -> Object | None:
        found = self._api.list(JOBS, labels=self._selector, fields=f"metadata.name={name}").items
        return found[0] if found else None

    def _is_history(self, job: Object) -> bool:
        """Failed before this call of `i2p run` began, and not by this call's own former life."""
        mine = job["metadata"]["labels"].get(labels.INVOCATION) == self._caller.invocation
        return state_of(job) == "failed" and not mine

    def _serve(self, job: Object) -> None:
        """A gang's Pods wait for its Service, so that one is there as soon as its Job is."""
        uid = job["metadata"]["uid"]
        if manifests.is_gang(job) and uid not in self._served and state_of(job) == "running":
            self._api.apply(SERVICES, manifests.service(job, uid))
            self._served.add(uid)

    def _status(self, stage: str, job: Object, plan: JobPlan | None, pods: Sequence[Object]) -> JobStatus:
        meta, state, now = job["metadata"], state_of(job), time.time()
        ours = plan is None or meta["labels"][labels.WORK] == manifests.work(plan, self._cluster)
        making = plan is None or plan.task.action == "make"
        attempts = [] if state == "succeeded" and making else self._logs[stage].attempts(meta["name"])
        exit_code, message = 0, ""
        disrupted = self._disrupted_too_often(stage, begun_by_index(attempts))
        if disrupted and state == "running" and not job["spec"].get("suspend"):
            self._give_up(job)
            state = "ending"
        elif state == "failed":
            exit_code, message = self._why_failed(stage, job, disrupted)
        return JobStatus(
            state=state,
            generation=int(meta["labels"][labels.GENERATION]),
            exit_code=exit_code,
            message=message,
            started=reasons.timestamp(meta["creationTimestamp"]),
            units=sum(attempt.units for attempt in attempts),
            samples=sum(attempt.samples for attempt in attempts),
            progress=tuple(attempt.progress for attempt in attempts if attempt.progress),
            active=job.get("status", {}).get("ready", 0),  # its `active` counts Pods that wait, too
            suspended=None if self._cluster.queue else bool(job["spec"].get("suspend")),
            waiting=self._waiting(job, pods, now) if state == "running" else "",
            outdated=not ours or meta["uid"] in (self._history or ()),
            counts=counted(attempts),
        )

    def _waiting(self, job: Object, pods: Sequence[Object], now: float) -> str:
        events: Sequence[Object] = ()
        age = now - reasons.timestamp(job["metadata"]["creationTimestamp"])
        if not pods and not job["spec"].get("suspend") and age > _CREATES_PODS_SECONDS and not self._caller.in_cluster:
            events = self._api.list(EVENTS, fields=f"involvedObject.uid={job['metadata']['uid']}").items
        return reasons.waiting(job, pods, events, now)

    def _disrupted_too_often(self, stage: str, begun: Mapping[int, int]) -> str:
        """Words when an index was disrupted more often than is allowed."""
        size = self._size[stage]
        index, times = max(begun.items(), key=lambda one: one[1], default=(0, 0))
        if times <= size.retries + 1 + size.max_disruptions:
            return ""
        return (
            f"index {index} was begun {times} times, more often than {size.retries} retries and "
            f"{size.max_disruptions} disruptions allow; look with `i2p logs {stage} --index {index}` at what it does "
            "to its node (a full disk?), then run again"
        )

    def _give_up(self, job: Object) -> None:
        """Let the Job fail, which never gives up on a disruption: an index that fills its node's disk would be evicted
        for ever. A deadline that has passed ends it like any other failure: its Pods stop, and the next call of
        `i2p run` takes it for history.
        """
        if job["spec"].get("activeDeadlineSeconds") != _PASSED_SECONDS:
            self._api.patch(JOBS, job["metadata"]["name"], {"spec": {"activeDeadlineSeconds": _PASSED_SECONDS}})

    def _why_failed(self, stage: str, job: Object, disrupted: str) -> tuple[int, str]:
        """The exit code of the Job and its reason, from what its attempts left, else from what its Pods reported."""
        failed, name = reasons.condition(job, labels.FAILED) or {}, job["metadata"]["name"]
        failures = self._logs[stage].failures(name)
        indexes = list(indexes_in(job["status"].get("failedIndexes", "")))
        others = f" ({len(indexes)} of {job['spec']['completions']} indexes failed)" if len(indexes) > 1 else ""
        if failed.get("reason") == "DeadlineExceeded" and disrupted:
            return TRY_AGAIN, disrupted
        if failed.get("reason") == "DeadlineExceeded":
            return TRY_AGAIN, f"not done by its deadline of {job['spec']['activeDeadlineSeconds']} s"
        if code := worst(failures):
            return code, failures[0].error + others
        ended = self._ended.failures(name)
        for code, words in ended:
            if code in (BAD_DATA, BAD_CONFIGURATION):
                return code, words + others
        last = ended[-1] if ended else (failures[0].exit_code, failures[0].error) if failures else (0, "")
        code = STORE_AWAY if last[0] == STORE_AWAY else TRY_AGAIN
        if failed.get("reason") == "PodFailurePolicy":
            code = BAD_CONFIGURATION
        if not last[1]:  # what a worker cannot report, too little memory or a missing image, its Pod does
            gone = self._ended.deleted(name) or f"its Pods left no message; `kubectl describe job {name}` may say more"
            return code, f"{failed.get('message', 'it failed')}: {gone}{others}"
        return code, last[1] + others

    def _notes(self, pods: Sequence[Object]) -> list[tuple[str, str]]:
        """One line for each Pod that ended badly, is being taken away, or whose node stopped answering, since the last
        look. A Pod that was taken away is gone within a second of its end, so its end is not waited for.
        """
        now = time.time()
        bad = {
            (pod["metadata"]["uid"], reasons.lost_on(pod, now)): pod
            for pod in pods
            if pod["status"].get("phase") == "Failed" or reasons.disruption(pod) or reasons.lost_on(pod, now)
        }
        before = set(bad) if self._noted is None else self._noted  # those of before this call are no news
        self._noted = before | set(bad)
        return [(_stage_of(pod), _ending(pod, which[1])) for which, pod in bad.items() if which not in before]


def _ending(pod: Object, lost_on: str) -> str:
    index = pod["metadata"]["labels"].get(labels.INDEX, "?")
    if lost_on:
        return f"index {index} hangs on node {lost_on}, which does not answer; if it is gone: i2p release {lost_on}"
    if disrupted := reasons.disruption(pod):
        return f"index {index} starts again without using a retry: {disrupted}"
    code, words = reasons.failure(pod)
    if code == PEER_LOST:
        return f"index {index} starts again without using a retry: {words}"
    return f"index {index} failed (exit code {code}): {words}"


def newest_by_stage(jobs: Sequence[Object]) -> dict[str, Object]:
    """The Job of the highest generation of each stage."""
    ordered = sorted(
        jobs, key=lambda job: (int(job["metadata"]["labels"][labels.GENERATION]), job["metadata"]["creationTimestamp"])
    )
    return {_stage_of(job): job for job in ordered}


def pods_of(job: Object, pods: Sequence[Object]) -> list[Object]:
    """The Pods of one Job."""
    name = job["metadata"]["name"]
    return [pod for pod in pods if pod["metadata"]["labels"].get(labels.JOB_NAME) == name]


def state_of(job: Object) -> JobState:
    """How a Job ended, if it did; early signals like FailureTarget do not count, its Pods may still run."""
    if "deletionTimestamp" in job["metadata"]:
        return "ending"
    for kind, state in ((labels.COMPLETE, "succeeded"), (labels.FAILED, "failed")):
        found = reasons.condition(job, kind)
        if found and found["status"] == "True":
            return state  # type: ignore[return-value]
    return "running"


def _stage_of(thing: Object) -> str:
    stage: str = thing["metadata"]["labels"][labels.STAGE]
    return stage
