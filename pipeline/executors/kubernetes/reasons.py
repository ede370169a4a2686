"""Why a Job waits or a Pod failed, in words, from what the cluster says of them. Pure functions of plain dicts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jobs.report.formatting import plural
from jobs.runtime.diagnostics import reason_in
from pipeline.executors.kubernetes import labels

Object = Mapping[str, Any]

_LOST_MARGIN_SECONDS = 20.0  # beyond the grace period, after which a kubelet that answers would have ended the Pod
_LONGEST = 300
_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def waiting(job: Object, pods: Sequence[Object], events: Iterable[Object], now: float) -> str:
    """Why Pods that could run do not, most frequent reason first; empty where nothing waits."""
    if job["spec"].get("suspend"):
        queue = job["metadata"]["labels"].get(labels.QUEUE)
        return f"suspended: Kueue has not admitted it from the queue {queue} yet" if queue else "suspended"
    reasons = Counter(reason for pod in pods if (reason := _pod_waits(pod, now)))
    found = [
        f"{plural(count, 'Pod')}: {reason}" if len(pods) > 1 else reason for reason, count in reasons.most_common(3)
    ]
    if not pods and not job.get("status", {}).get("active") and (reason := _not_created(events)):
        found.append(reason)
    return "; ".join(found)


def _pod_waits(pod: Object, now: float) -> str:
    if node := lost_on(pod, now):
        return (
            f"it has not ended on node {node}, which does not answer; if that node is gone for good, "
            f"`i2p release {node}` lets its indexes start elsewhere"
        )
    if pod["status"].get("phase") != "Pending":
        return ""
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled["status"] == "False":
        return f"no node can take it ({_asked(pod)}): {_short(scheduled.get('message', scheduled.get('reason', '')))}"
    for status in pod["status"].get("containerStatuses", ()):
        waits = status.get("state", {}).get("waiting") or {}
        reason, message = waits.get("reason", ""), _short(waits.get("message", ""))
        if reason in _PULL:
            return f"its image cannot be pulled ({reason}): {message or status['image']}"
        if reason in _CONFIG:
            return f"its container cannot be made ({reason}): {message}"
    since = (scheduled or {}).get("lastTransitionTime")
    if since and now - timestamp(since) > 60:
        return "its image is being pulled, or its volumes are being mounted"
    return ""


def _asked(pod: Object) -> str:
    """What the Pod asks of a node, GPUs first."""
    container = pod["spec"]["containers"][0]
    asked = dict(container["resources"]["requests"])
    asked.pop("ephemeral-storage", None)
    gpus = [f"{amount} {name}" for name, amount in asked.items() if "/" in name]
    others = [f"{name} {amount}" for name, amount in asked.items() if "/" not in name]
    return "it asks for " + ", ".join(gpus + others)


def _not_created(events: Iterable[Object]) -> str:
    """The newest reason why a Job's Pods could not even be created: a quota, a policy, a missing account."""
    failed = [event for event in events if event.get("reason") == "FailedCreate"]
    if not failed:
        return ""
    newest = max(failed, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    message = re.sub(r'^Error creating: pods "[^"]*" is forbidden: ', "", newest.get("message", ""))
    return f"its Pods cannot be created: {_short(message)}"


def lost_on(pod: Object, now: float) -> str:
    """The node that does not answer although it should have ended this Pod; empty where there is no such node."""
    due = pod["metadata"].get("deletionTimestamp")  # of the end of the grace period
    node: str = pod["spec"].get("nodeName", "")
    ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    return node if due and not ended and now - timestamp(due) > _LOST_MARGIN_SECONDS else ""


def disruption(pod: Object) -> str:
    """Why a Pod was taken away, if it was; such an end uses no retry."""
    found = condition(pod, labels.DISRUPTED)
    if not found or found["status"] != "True":
        return ""
    words = {
        "PreemptionByScheduler": "preempted by a Pod of higher priority",
        "DeletionByTaintManager": "its node stopped answering or was tainted",
        "EvictionByEvictionAPI": "evicted, for example by a drain",
        "DeletionByPodGC": "its node is gone",
        "TerminationByKubelet": "evicted by its node, which ran short or was shut down",
    }
    reason = found.get("reason", "")
    return f"{words.get(reason, reason)}: {_short(found.get('message', ''))}"


def failure(pod: Object) -> tuple[int, str]:
    """The exit code of a failed Pod, and why in its own words, or else in the kubelet's."""
    for status in pod["status"].get("containerStatuses", ()):
        ended = status.get("state", {}).get("terminated")
        if not ended:
            continue
        code = int(ended.get("exitCode", 0))
        if found := reason_in(ended.get("message") or ""):
            return code, _short(found)
        if ended.get("reason") == "OOMKilled":
            memory = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
            return code, f"it needed more than its {memory} of memory; raise resources.memory"
        last = (ended.get("message") or "").strip().splitlines()
        return code, f"ended by exit code {code}" + (f"; it said last: {_short(last[-1])}" if last else "")
    return 0, _short(pod["status"].get("message") or pod["status"].get("reason") or "no word of why")


def condition(thing: Object, kind: str) -> Object | None:
    """The condition of that type, if the Job or Pod has it."""
    found: Object | None = next(
        (one for one in thing.get("status", {}).get("conditions", ()) if one["type"] == kind), None
    )
    return found


def timestamp(text: str) -> float:
    """Seconds since the epoch of a time as Kubernetes writes it."""
    return datetime.fromisoformat(text).timestamp()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
