"""Reads every shard and record of a run back and checks them; stops at the first thing that is wrong.

A run's own stages are checked, and the datasets that they take from other runs, each where it is; how those were made
is the other runs' to verify. Each stage is checked by a Job of its own, as it was made by one: by processes of this
machine, or by Pods of a cluster. What is checked is in jobs/runtime/checking.py and in the stages' own check.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from jobs.catalog import STAGES
from jobs.errors import BAD_DATA, Corrupt, I2PError, NotFound
from jobs.report.formatting import plural
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import load_manifest
from jobs.shards.records import Manifest
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.base import Executor, JobStatus
from pipeline.planning.job_plan import JobPlan, check_plan

_SHARDS_EACH = 16  # of one index at least: a process needs half a second to start


def verify(store: Store, config: RunConfig, executor: Executor) -> Iterator[tuple[str, str]]:
    """(stage, what was checked of it, in words); raises Corrupt for the first thing that is wrong, I2PError.

    Raises NotFound after all that is published was checked, if a stage of the run is not. `store` is the run's
    (`open_run`), in which the datasets taken from other runs are found too.
    """
    made = {spec.name for spec in config.specs}
    read = made | {name for spec in config.specs for name in spec.inputs} | set(config.inputs)
    found = {name: load_manifest(store.at(name)) for name in read}
    manifests = {name: manifest for name, manifest in found.items() if manifest}
    plans = [
        _plan(config, spec, manifests, executor.at_once, own=spec.name in made)
        for spec in STAGES
        if spec.name in manifests
    ]
    checked = _checked(executor, plans)
    for spec in STAGES:
        if spec.name not in read:
            yield spec.name, "not part of this run"
        elif spec.name not in manifests:
            yield spec.name, "not finished"
        else:
            yield spec.name, _text(spec, manifests[spec.name], next(checked), config)
    if missing := [spec.name for spec in STAGES if spec.name in read - manifests.keys()]:
        raise NotFound(_unfinished(missing[0], config))


def _unfinished(stage: str, config: RunConfig) -> str:
    of = "the run" if config.origin(stage) == config.run else f"the run {config.origin(stage)}, which it is of,"
    return f"{stage} has no manifest, so {of} is not finished; what is there was checked; `i2p run` finishes it"


def _plan(
    config: RunConfig, spec: StageSpec, manifests: Mapping[str, Manifest], at_once: int | None, *, own: bool
) -> JobPlan:
    """The check of one stage; with its inputs, if the run made it and they are all there."""
    names = (spec.name, *spec.inputs) if own and manifests.keys() >= set(spec.inputs) else (spec.name,)
    shards = len(manifests[spec.name].shards)
    most = at_once or config.resources(spec).parallelism
    parallelism = max(1, min(most, -(-shards // _SHARDS_EACH)))
    return check_plan(config, spec, {name: manifests[name].digest for name in names}, parallelism=parallelism)


def _checked(executor: Executor, plans: Sequence[JobPlan]) -> Iterator[Mapping[str, int]]:
    """The counts of each plan's check, in order; raises Corrupt, I2PError for the first plan whose check fails.

    First in the order of plans, not in time: what is wrong with a stage often shows in the later ones too.
    """
    waiting, running, ended = deque(plans), dict[str, JobPlan](), dict[str, JobStatus]()
    try:
        for plan in plans:
            while plan.name not in ended:
                while waiting and (executor.at_once is None or _tasks(running) < executor.at_once):
                    one = waiting.popleft()
                    executor.submit(one)
                    running[one.name] = one
                ended |= _ended(executor, running)
                if any(job.state == "failed" for job in ended.values()):
                    waiting.clear()  # all that come before the failed one were submitted
                if plan.name not in ended:
                    executor.wait()
            yield _counts(ended[plan.name])
    finally:
        for name in running:
            executor.remove(name)


def _tasks(running: Mapping[str, JobPlan]) -> int:
    return sum(plan.task.completions for plan in running.values())


def _ended(executor: Executor, running: dict[str, JobPlan]) -> dict[str, JobStatus]:
    """The checks that have ended since, which are then no longer running."""
    jobs = executor.observe(running).jobs.items()
    ended = {name: job for name, job in jobs if name in running and job.state in ("failed", "succeeded")}
    for name in ended:
        executor.remove(name)
        del running[name]
    return ended


def _counts(job: JobStatus) -> Mapping[str, int]:
    """What a check that has ended has counted; raises Corrupt, I2PError where it failed."""
    if job.state == "failed":
        message = job.message.removeprefix(f"{Corrupt.__name__}: ")
        raise (Corrupt if job.exit_code == BAD_DATA else I2PError)(message)
    return job.counts


def _text(spec: StageSpec, manifest: Manifest, counts: Mapping[str, int], config: RunConfig) -> str:
    samples = sum(shard.samples for shard in manifest.shards)
    found = [
        plural(len(manifest.shards), "shard"),
        plural(samples, "sample"),
        *(f"{number:,} {what}" for what, number in counts.items()),
    ]
    origin = config.origin(spec.name)
    return ", ".join([*found, *([f"of the run {origin}"] if origin != config.run else [])])
