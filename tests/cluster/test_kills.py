"""Controllers and Pods die at any moment: the digests stay the same, and nothing is made twice or left over."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from pipeline.executors.kubernetes import labels
from tests.cluster.commands import i2p
from tests.cluster.conftest import Cluster
from tests.cluster.controllers import DisturbedRun, Lives, Object, Runs, kill_worker

HELD_OUT = {"val": 0.2, "test": 0.15}
INDEXES = {"collect": 1, "generate-prompts": 15, "embed": 3, "dedup": 1, "generate-images": 12}  # of the killed Pods
LAST_CHANGE = "PUT report.html"
MOST_CHANGES = 30  # lives with a change, of which the short run makes about six
CHANGES = Counter({"patch jobs": 1, "PUT manifest.json": 2, LAST_CHANGE: 1})  # that the short run needs at least


def test_a_controller_killed_before_and_after_every_change_is_followed_by_one_that_goes_on(new_run: Runs) -> None:
    """Lives follow each other on one run. Each dies at the first change that it makes: one before it, so that nothing
    is changed, and the next after it. That every other call is as harmless, the simulation shows.
    """
    run = new_run(stages=("collect", "generate-prompts"))
    run.begins_with(unpublished=("generate-prompts",))  # one stage to run and publish, and one only to publish
    deaths: dict[str, list[str]] = {"before": [], "after": []}
    with Lives() as lives:
        while LAST_CHANGE not in deaths["after"]:
            assert len(deaths["after"]) < MOST_CHANGES, f"lives that come no further: {deaths}"
            for moment, changes in deaths.items():
                end = lives.live(run, moment, 1, only_changes=True)
                assert end["code"], f"finished before it was killed {moment} its change\n{run.said()}"
                changes.append(end["last"])
        assert lives.live(run, "after", 0)["code"] == 0
    for moment, changes in deaths.items():
        assert Counter(changes) >= CHANGES, moment
    run.is_as_if_undisturbed("collect")


def test_twenty_pods_killed_at_random_change_nothing(new_run: Runs, cluster: Cluster, tmp_path: Path) -> None:
    """Each at a random moment, most by a SIGKILL of the worker, some by a forced deletion, which may come too late."""
    finer = {"generate-prompts": {"prompts_per_shard": 4}, "dedup": {"prompts_per_shard": 12, "held_out": HELD_OUT}}
    sizes = {stage: {"parallelism": number, "memory": "700Mi", "retries": 9} for stage, number in INDEXES.items()}
    run = new_run(tmp_path / "alone", stages=tuple(INDEXES), parameters=finer, sizes=sizes)
    i2p(run.preset, "run", "--executor", "local", "--set", f"store={run.reference}", seconds=600)
    doomed: dict[str, float] = {}  # when a Pod is to die, by its uid
    begun: Counter[tuple[str, str]] = Counter()  # Pods of each index
    with run.controller() as controller:
        while controller.alive:
            for pod in run.pods("--field-selector=status.phase=Running"):
                uid = pod["metadata"]["uid"]
                if uid not in doomed:
                    index = (pod["metadata"]["labels"][labels.STAGE], pod["metadata"]["labels"][labels.INDEX])
                    dies = random.random() < (0.15 if begun[index] else 0.9)  # noqa: S311 - each retry waits longer
                    doomed[uid] = time.monotonic() + random.uniform(0, 2) if dies else float("inf")  # noqa: S311
                    begun[index] += 1
                if time.monotonic() >= doomed[uid] and _kill(cluster, run, pod):
                    doomed[uid] = float("inf")
            time.sleep(0.2)
        controller.finishes(0)
    assert sum(job["status"].get("failed", 0) for job in run.jobs()) >= 20, run.said()
    run.is_as_if_undisturbed(*INDEXES)


def _kill(cluster: Cluster, run: DisturbedRun, pod: Object) -> bool:
    if random.random() < 0.8:  # noqa: S311
        return kill_worker(cluster, pod)
    name = pod["metadata"]["name"]
    cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--wait=false", namespace=run.namespace)
    return True
