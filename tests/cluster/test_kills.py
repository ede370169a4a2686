"""Controllers and Pods die at any moment: the digests stay the same, and nothing is made twice or left over."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest

from jobs.catalog import STAGES
from pipeline import labels
from tests.cluster.commands import i2p
from tests.cluster.conftest import Cluster
from tests.cluster.controllers import DisturbedRun, Lives, Object, Runs, kill_worker
from tests.fakes.mortal_controller import End

HELD_OUT = {"val": 0.2, "test": 0.15}
INDEXES = {"collect": 1, "generate-prompts": 15, "embed": 3, "dedup": 1, "generate-images": 12}  # of the killed Pods
AT_ONCE = 6  # runs beside each other
LAST_CHANGE = "PUT report.html"
CHANGES = {"patch jobs", "PUT manifest.json", LAST_CHANGE}  # the calls of a run that change something


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_controller_killed_at_any_of_its_calls_is_followed_by_one_that_goes_on(new_run: Runs, moment: str) -> None:
    """Lives follow each other on one run, each killed one call later than the one before, until one finishes. Later
    calls are only made by a life that sees a whole run: each of those gets a run of its own and a second life.
    """

    def fresh() -> DisturbedRun:  # one stage to run and publish, and one only to publish
        run = new_run(stages=("collect", "generate-prompts"))
        return run.begins_with(unpublished=("generate-prompts",))

    def whole_run_killed_at(call: int) -> End:
        lives, run = free.get(), fresh()
        try:
            end = lives.live(run, moment, call)
            if end["code"]:
                assert lives.live(run, moment, 0)["code"] == 0
        finally:
            free.put(lives)
        run.is_as_if_undisturbed("collect")
        return end

    free: SimpleQueue[Lives] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            free.put(stack.enter_context(Lives()))
        deaths: dict[int, str] = {}  # by the number of the call, which in words
        chained, run = free.get(), fresh()
        while (end := chained.live(run, moment, len(deaths) + 1))["code"]:
            deaths[len(deaths) + 1] = end["last"]
        run.is_as_if_undisturbed("collect")
        free.put(chained)
        finished: list[End] = []
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        while not finished:
            numbers = range(len(deaths) + 1, len(deaths) + 1 + AT_ONCE)
            ends = list(pool.map(whole_run_killed_at, numbers))
            deaths |= {call: end["last"] for call, end in zip(numbers, ends, strict=True) if end["code"]}
            finished = [end for end in ends if not end["code"]]
    made = min(end["calls"] for end in finished)
    assert deaths.keys() >= set(range(1, made + 1)), "a call of a whole run at which nobody died"
    assert set(deaths.values()) >= CHANGES


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


def test_a_controller_killed_before_and_after_every_change_it_makes_in_the_whole_graph(new_run: Runs) -> None:
    """Lives follow each other on one run of all stages. Each dies at the first change that it makes: one before it, so
    that nothing is changed, and the next after it.
    """
    run = new_run()
    deaths: dict[str, list[str]] = {"before": [], "after": []}
    with Lives() as lives:
        while deaths["after"].count(LAST_CHANGE) == 0:
            for moment, changes in deaths.items():
                end = lives.live(run, moment, 1, only_changes=True)
                assert end["code"], f"finished before it was killed {moment} its change\n{run.said()}"
                changes.append(end["last"])
        assert lives.live(run, "after", 0)["code"] == 0
    for moment, changes in deaths.items():
        counted = Counter(changes)
        assert counted == {"patch jobs": len(STAGES), "PUT manifest.json": len(STAGES), LAST_CHANGE: 1}, moment
    run.is_as_if_undisturbed(*(spec.name for spec in STAGES))
