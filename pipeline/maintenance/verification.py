"""Reads every shard and record of a run back and checks them; stops at the first thing that is wrong.

A run's own stages are checked, and the datasets that they take from other runs, each where it is; how those were made
is the other runs' to verify. Each stage is checked by a Job of its own, as it was made by one: by processes of this
machine, or by Pods of a cluster. What is checked is in jobs/runtime/checking.py and in the stages' own check.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from jobs.catalog import STAGES
from jobs.errors import BAD_DATA, Corrupt, I2PError, NotFound
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import load_manifest
from jobs.shards.records import Manifest
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.base import Executor
from pipeline.planning.job_plan import JobPlan, check_plan

_SHARDS_EACH = 4  # of one index at least: a process needs half a second to start


def verify(store: Store, config: RunConfig, executor: Executor) -> Iterator[tuple[str, str]]:
    """(stage, what was checked of it, in words); raises Corrupt for the first thing that is wrong, NotFound, I2PError.

    `store` is the run's (`open_run`), in which the datasets taken from other runs are found too.
    """
    made = {spec.name for spec in config.specs}
    read = made | {name for spec in config.specs for name in spec.inputs} | set(config.inputs)
    manifests = {spec.name: _published(store, spec.name, config) for spec in STAGES if spec.name in read}
    for spec in STAGES:
        if spec.name not in read:
            yield spec.name, "not part of this run"
            continue
        counts = _check(executor, _plan(config, spec, manifests, own=spec.name in made))
        yield spec.name, _text(spec, manifests[spec.name], counts, config)


def _published(store: Store, stage: str, config: RunConfig) -> Manifest:
    if manifest := load_manifest(store.at(stage)):
        return manifest
    of = "the run" if config.origin(stage) == config.run else f"the run {config.origin(stage)}, which it is of,"
    raise NotFound(f"{stage} has no manifest, so {of} is not finished; `i2p run` finishes it")


def _plan(config: RunConfig, spec: StageSpec, manifests: Mapping[str, Manifest], *, own: bool) -> JobPlan:
    names = (spec.name, *spec.inputs) if own else (spec.name,)
    at_once = os.cpu_count() or 1 if config.executor == "local" else config.resources(spec).parallelism
    shards = len(manifests[spec.name].shards)
    parallelism = max(1, min(at_once, -(-shards // _SHARDS_EACH)))
    return check_plan(config, spec, {name: manifests[name].digest for name in names}, parallelism=parallelism)


def _check(executor: Executor, plan: JobPlan) -> Mapping[str, int]:
    executor.submit(plan)
    while True:
        job = executor.observe({plan.name: plan}).jobs.get(plan.name)
        if job and job.state == "succeeded":
            executor.remove(plan.name)
            return job.counts
        if job and job.state == "failed":
            message = job.message.removeprefix(f"{Corrupt.__name__}: ")
            raise (Corrupt if job.exit_code == BAD_DATA else I2PError)(message)
        executor.wait()


def _text(spec: StageSpec, manifest: Manifest, counts: Mapping[str, int], config: RunConfig) -> str:
    shards, samples = len(manifest.shards), sum(shard.samples for shard in manifest.shards)
    found = [f"{shards:,} shards, {samples:,} samples", *(f"{number:,} {what}" for what, number in counts.items())]
    origin = config.origin(spec.name)
    return ", ".join([*found, *([f"of the run {origin}"] if origin != config.run else [])])
