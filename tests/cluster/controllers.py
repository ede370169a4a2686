"""Runs on the cluster that tests disturb: their buckets, their controllers and Pods, and what must be left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.shards.identity import proved
from jobs.shards.s3 import S3Store
from pipeline.executors.kubernetes import labels, manifests
from tests.cluster.commands import written
from tests.cluster.conftest import Cluster
from tests.cluster.graph import configuration, copy_run, digests
from tests.e2e.runs import RUN, manifest_digests
from tests.fakes.mortal_controller import End, Life
from tests.waiting import wait_for

Object = dict[str, Any]

# What a half run has: the slow stages.
GIVEN = ("embed", "dedup", "cut-prompts", "compare-images", "train", "evaluate", "infer")
MADE = ("collect", "generate-prompts", "generate-images", "submission")


@dataclass
class DisturbedRun:
    """One run on the cluster, in a folder of the bucket that is its own."""

    cluster: Cluster
    namespace: str
    bucket: S3Store
    images: Mapping[str, str]
    folder: Path
    reference: Path  # the store of the same run, undisturbed, on this machine
    stages: tuple[str, ...] | None = None  # to make; None for all
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # resources by stage
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by stage
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the section `kubernetes`

    def __post_init__(self) -> None:
        values = configuration(self.cluster, self.namespace, self.bucket, self.images, stages=self.stages)
        values["kubernetes"] |= self.settings
        for stage, changes in self.parameters.items():
            values[stage] |= changes
        for stage, size in self.sizes.items():
            values[stage]["resources"] = {**values[stage]["resources"], **size}
        name = self.bucket.prefix.replace("/", "-")
        self.preset = written(values, self.folder, f"{name}.yaml")
        self.log = self.folder / f"{name}.log"
        self.log.touch()
        self.selector = manifests.selector(proved(self.bucket).id, RUN)

    def begins_with(self, *stages: str, unpublished: tuple[str, ...] = ()) -> DisturbedRun:
        """Copy what the reference made of some stages into the bucket, of some of them without the manifest."""
        copy_run(self.reference, self.bucket, RUN, stages=(*stages, *unpublished), unpublished=unpublished)
        return self

    @contextmanager
    def controller(self, **environment: str) -> Iterator[Controller]:
        """`i2p run` on a desk, which is killed at the end of the block if it still runs."""
        command = [sys.executable, "-m", "pipeline", "run", "--preset", self.preset]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            yield Controller(process, self.log)
        finally:
            process.kill()
            process.wait()

    def jobs(self) -> list[Object]:
        """Its Jobs."""
        return self.cluster.objects("jobs", self.namespace, "-l", self.selector)

    def pods(self, *arguments: str) -> list[Object]:
        """Its Pods."""
        return self.cluster.objects("pods", self.namespace, "-l", self.selector, *arguments)

    def is_as_if_undisturbed(self, *stages: str) -> None:
        """The reference's digests, one Job of the first generation for each of these stages, and no Pod left over."""
        expected = manifest_digests(self.reference)
        found = digests(self.bucket.at(RUN))
        assert found == {stage: expected[stage] for stage in self.stages or expected}, self.said()
        jobs = self.jobs()
        assert Counter(map(_stage_and_generation, jobs)) == {(stage, "1"): 1 for stage in stages}, self.said()
        uids = {job["metadata"]["uid"] for job in jobs}
        wait_for(lambda: not self._left_over(uids), 30, "every Pod to end and to have a Job")

    def _left_over(self, uids: set[str]) -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in self.pods()
            if pod["status"]["phase"] not in ("Succeeded", "Failed")
            or not uids & {owner["uid"] for owner in pod["metadata"].get("ownerReferences", ())}
        ]

    def said(self) -> str:
        """What all its controllers printed."""
        return self.log.read_text()


Runs = Callable[..., DisturbedRun]


def _stage_and_generation(job: Object) -> tuple[str, str]:
    marks = job["metadata"]["labels"]
    return marks[labels.STAGE], marks[labels.GENERATION]


@dataclass
class Controller:
    """One life of a controller at a desk."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def lives(self, seconds: float) -> None:
        """Let it run for so long, unless it finishes before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def says(self, words: str, seconds: float) -> None:
        """Wait until it has printed that."""
        wait_for(lambda: words in self.log.read_text() or not self.alive, seconds, f"the controller to say {words!r}")
        assert words in self.log.read_text(), self.log.read_text()

    def finishes(self, seconds: float) -> None:
        """Wait until it ends, with success."""
        self.lives(seconds)
        assert self.process.poll() == 0, self.log.read_text()


class Lives:
    """A process that lives lives of controllers, one after the other, while it is entered."""

    def __enter__(self) -> Lives:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.mortal_controller"],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def live(self, run: DisturbedRun, moment: str, call: int, *, only_changes: bool = False) -> End:
        """One life on a run, until right before or after its call of that number, or with 0 to its end."""
        assert self._process.stdin
        assert self._process.stdout
        life: Life = {
            "arguments": ["run", "--preset", run.preset],
            "log": str(run.log),
            "moment": moment,
            "call": call,
            "only_changes": only_changes,
        }
        print(json.dumps(life), file=self._process.stdin, flush=True)
        end: End = json.loads(self._process.stdout.readline())
        assert end["code"] in (0, -signal.SIGKILL), f"{end}\n{run.said()}"
        return end


def kill_worker(cluster: Cluster, pod: Object) -> bool:
    """End the process of a Pod's worker with SIGKILL, as the kernel does when memory runs out; False where none is."""
    return signal_worker(cluster, pod, signal.SIGKILL)


def signal_worker(cluster: Cluster, pod: Object, number: signal.Signals) -> bool:
    """Send a signal to the process of a Pod's worker, from the machine that is all nodes; False where there is none."""
    if not cluster.own:
        pytest.skip("signals processes in Pods from outside, which needs a cluster on this machine")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            ours = pod["metadata"]["uid"] in (process / "cgroup").read_text()
            if ours and b"jobs" in (process / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(process.name), number)
                return True
    return False
