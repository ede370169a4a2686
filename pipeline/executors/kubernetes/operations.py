"""What an operator does to a run on a cluster beside running it: look at manifests, pause, cancel, release a node."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from jobs.errors import BadConfiguration
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.kubernetes import labels, manifests, reasons
from pipeline.executors.kubernetes.client.api import JOBS, PODS, Api
from pipeline.executors.kubernetes.client.api_errors import Forbidden, Refused
from pipeline.executors.kubernetes.executor import newest_by_stage, state_of
from pipeline.planning.desired_state import DesiredState
from pipeline.planning.job_plan import job_plan
from pipeline.planning.plan import StagePlan

Object = dict[str, Any]


def rendered(config: RunConfig, plans: Sequence[StagePlan]) -> Iterator[tuple[StagePlan, list[Object]]]:
    """Every manifest that a run would submit now; of stages that wait, as far as it is known."""
    for plan in plans:
        job = manifests.job(job_plan(config, plan, 1), config.kubernetes)
        yield plan, [job, manifests.service(job)] if manifests.is_gang(job) else [job]


def changes(api: Api, config: RunConfig, plans: Sequence[StagePlan]) -> list[dict[str, str]]:
    """What submitting would change: {stage, job, change, answer of the server's dry run, difference}.

    Only for stages that could be submitted now.
    """
    selector = manifests.selector(config.store_label, config.run)
    there = newest_by_stage(api.list(JOBS, labels=selector).items)
    return [_change(api, config, plan, there.get(plan.spec.name)) for plan in plans if plan.ready and plan.pending]


def _change(api: Api, config: RunConfig, plan: StagePlan, live: Object | None) -> dict[str, str]:
    generation = int(live["metadata"]["labels"][labels.GENERATION]) if live else 0
    running = live is not None and state_of(live) == "running"
    wanted = manifests.job(job_plan(config, plan, generation if running else generation + 1), config.kubernetes)
    same = running and live is not None and live["metadata"]["name"] == wanted["metadata"]["name"]
    row = {"stage": plan.spec.name, "job": wanted["metadata"]["name"], "change": "unchanged, it runs"}
    if same:
        return row
    row["change"] = f"replaces {live['metadata']['name']}, which runs" if running and live else "to be created"
    try:
        api.apply(JOBS, wanted, dry_run=True)
        row["dry run"] = "accepted"
    except (Refused, Forbidden) as error:
        row["dry run"] = str(error)
    if live is not None:
        row["difference"] = difference(live, wanted)
    return row


def difference(live: Object, wanted: Object) -> str:
    """A unified diff from what is there to what is wanted, in the fields that are written; empty where they agree."""
    live = {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"], **live}  # a list's items go without
    before = yaml.safe_dump(_like(live, wanted), sort_keys=True, width=1000).splitlines()
    after = yaml.safe_dump(wanted, sort_keys=True, width=1000).splitlines()
    return "\n".join(list(difflib.unified_diff(before, after, lineterm="", n=1))[2:])


def _like(live: Any, wanted: Any) -> Any:
    """What is there, without the fields that the server or others have added."""
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        return {name: _like(live[name], value) for name, value in wanted.items() if name in live}
    if isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        return [_like(one, other) for one, other in zip(live, wanted, strict=True)]
    return live


def apply_desired_state(api: Api, config: RunConfig, desired: DesiredState) -> list[str]:
    """Act on the run's Jobs at once, so that no controller is needed for it; each Job with the state it is in now.

    A controller that still runs may have been faster; the Jobs it paused are named all the same.
    """
    done = []
    for job in _unfinished(api, config):
        name = job["metadata"]["name"]
        if desired == "cancel":
            api.delete(JOBS, name)
            done.append(f"{name}: stopped")
        elif config.kubernetes.queue:
            done.append(f"{name}: left to Kueue, which alone suspends the Jobs of its queues")
        else:
            api.patch(JOBS, name, {"spec": {"suspend": desired == "pause"}})
            done.append(f"{name}: {'paused' if desired == 'pause' else 'goes on'}")
    return done


def _unfinished(api: Api, config: RunConfig) -> list[Object]:
    jobs = api.list(JOBS, labels=manifests.selector(config.store_label, config.run)).items
    return [job for job in jobs if state_of(job) == "running"]


def release(api: Api, config: RunConfig, node: str) -> list[str]:
    """Forget the run's Pods that hang on a node that does not answer, so that their indexes start elsewhere.

    Safe even where the node still works on: of two attempts at a unit only one can commit. Raises BadConfiguration
    when no Pod hangs there.
    """
    pods = api.list(PODS, labels=manifests.selector(config.store_label, config.run)).items
    hanging = [pod for pod in pods if reasons.lost_on(pod, time.time()) == node]
    if not hanging:
        nodes = sorted({lost for pod in pods if (lost := reasons.lost_on(pod, time.time()))})
        where = f"there are some on {', '.join(nodes)}" if nodes else "none hangs anywhere"
        raise BadConfiguration(
            f"no Pod of this run hangs on node {node!r}, {where}. A Pod hangs when its node should "
            "have ended it and has not answered since"
        )
    for pod in hanging:
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        api.delete(PODS, name, propagation="Background", grace_seconds=0, uid=uid)
        # Its Job keeps it, and starts no other, until its node says how it ended, which it never will.
        api.patch(PODS, name, {"metadata": {"uid": uid, "finalizers": None}})
    return [pod["metadata"]["name"] for pod in hanging]
