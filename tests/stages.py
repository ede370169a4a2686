"""Runs one real stage in this process, as a controller would: task, commits, manifest."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.runtime.spec import Params, StageSpec
from jobs.runtime.task import Task
from jobs.shards.dataset import Committed, Dataset, Writer, publish_manifest
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest, Outcome
from jobs.shards.store import Store
from jobs.shards.tar import Sample


def run_stage(
    run: Store,
    spec: StageSpec,
    params: Params,
    inputs: Sequence[Dataset] = (),
    *,
    completions: int = 1,
    earlier_runs: Sequence[Store] = (),
) -> Dataset:
    """Run all tasks of a stage one after the other and publish its manifest; raises what the worker raises.

    An input that is not given is an empty dataset.
    """
    given = {dataset.name for dataset in inputs}
    inputs = [*inputs, *(Dataset(run.at(name), Manifest(name, ())) for name in spec.inputs if name not in given)]
    module, _, function = spec.worker.partition(":")
    for index in range(completions):
        home, attempt = run.at(spec.name), f"test-{index}"
        task: Task[Any, Any] = Task(
            spec,
            params,
            spec.reads(inputs),
            home,
            index,
            completions,
            attempt=attempt,
            earlier_runs=tuple(earlier_runs),
        )
        getattr(importlib.import_module(module), function)(task, params)
        if task.failures:
            raise task.failures[0]
    committed = Committed.of(run.at(spec.name))
    records = [committed.record(unit.name, spec.fingerprint(unit)) for unit in spec.units_of(params, inputs)]
    manifest = Manifest(spec.name, tuple(record.outcome for record in records if record))
    assert len(manifest.outcomes) == len(records), "some units were not committed"
    publish_manifest(run.at(spec.name), manifest)
    return Dataset(run.at(spec.name), manifest)


def dataset_of(
    run: Store, stage: str, shards: dict[str, list[Sample]], settings: Mapping[str, Any] | None = None
) -> Dataset:
    """A dataset with these samples, as if the stage had written it, one unit a shard."""
    outcomes = []
    for name, samples in shards.items():
        writer = Writer(run.at(stage))
        writer.add_shard(name, sorted(samples, key=lambda sample: sample.key))
        outcomes.append(Outcome(name, "0" * 64, 1, settings or {}, {}, tuple(writer.shards)))
    manifest = Manifest(stage, tuple(outcomes))
    publish_manifest(run.at(stage), manifest)
    return Dataset(run.at(stage), manifest)


def local_run(folder: Path) -> LocalStore:
    """A run in a local folder."""
    return LocalStore(folder / "run")
