"""What Pods reported when they ended, kept for when they are gone: a deleted Pod goes with its message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.executors.kubernetes import labels, reasons

Object = Mapping[str, Any]


class EndedPods:
    """The bad ends of all Pods that were seen, by the names of their Jobs."""

    def __init__(self) -> None:
        self._failed: dict[str, dict[str, tuple[str, int, str]]] = {}  # by Job and uid: start, exit code, words
        self._deleted: dict[str, str] = {}  # by Job, of the Pod that was seen last

    def look(self, pods: Iterable[Object]) -> None:
        """Take note of the Pods that have failed or are being deleted."""
        for pod in pods:
            meta = pod["metadata"]
            job = meta["labels"].get(labels.JOB_NAME, "")
            if pod["status"].get("phase") == "Failed":
                ended = (pod["status"].get("startTime", ""), *reasons.failure(pod))
                self._failed.setdefault(job, {})[meta["uid"]] = ended
            elif "deletionTimestamp" in meta and not reasons.disruption(pod):
                index = meta["labels"].get(labels.INDEX, "?")
                self._deleted[job] = f"the Pod {meta['name']} of index {index} was deleted and left no word"

    def failures(self, job: str) -> list[tuple[int, str]]:
        """Exit codes and reasons of a Job's failed Pods, in the order in which they were started."""
        return [(code, words) for _, code, words in sorted(self._failed.get(job, {}).values())]

    def deleted(self, job: str) -> str:
        """In words, which Pod of the Job was being deleted when it was seen last; empty where there was none."""
        return self._deleted.get(job, "")
