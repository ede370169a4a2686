"""Reads back what a stage has published and checks it: one index's share of its records and shards.

Of every stage the same is checked: records against the manifest, fingerprints and names, every shard's bytes, size,
digest, count and end keys, and every sample against the stage's contract. What else must hold is the stage's own
`check.py`: a function from a CheckTask to counts.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from jobs.contract.declaration import Contract, Inputs
from jobs.errors import Corrupt, NotFound
from jobs.runtime import log
from jobs.runtime.diagnostics import Diagnostics
from jobs.runtime.environment import store_patience
from jobs.runtime.events import Checked, Started
from jobs.runtime.spec import StageSpec, load
from jobs.runtime.stopping import stop, stop_when_asked_early
from jobs.runtime.task_description import TaskDescription
from jobs.shards.address import open_store, without_patience
from jobs.shards.dataset import Committed, Dataset, load_manifest
from jobs.shards.reads import changed_inputs
from jobs.shards.records import Outcome, Shard, fingerprint, object_name, record_name
from jobs.shards.store import Store
from jobs.shards.tar import Sample

In = TypeVar("In", bound=Inputs)
C = TypeVar("C", bound=Contract[Dataset])


@dataclass(slots=True)
class CheckTask(Generic[In, C]):
    """One index's share of a check."""

    inputs: In
    output: C
    index: int
    completions: int
    _read: set[str] = field(default_factory=set)

    def shards(self) -> Iterator[tuple[Shard, Iterator[Sample]]]:
        """Every n-th shard that was not read yet with its samples, which are checked as they are read.

        Raises Corrupt, NotFound.
        """
        for shard in self.output.data.shards()[self.index :: self.completions]:
            if shard.name not in self._read:
                self._read.add(shard.name)
                yield shard, self._checked(shard)

    def _checked(self, shard: Shard) -> Iterator[Sample]:
        declared = self.output.declared(shard)
        done, total = len(self._read), -(-len(self.output.data.shards()) // self.completions)
        for sample in self.output.data.read(shard):
            try:
                declared.check(sample)
            except Corrupt as error:
                raise Corrupt(f"{self.output.stage}: {shard.name}: {error}") from error
            yield sample
        log.progress(done, total, "shards")


def check_task(spec: StageSpec, description: TaskDescription, *, index: int, attempt: str) -> None:
    """Check one index's share; raises Corrupt for the first thing that is wrong, StoreError, StalePlan."""
    store = open_store(description.store, patience_seconds=store_patience())
    run = store.at(description.runs.get(spec.name, description.run))
    diagnostics = Diagnostics(without_patience(run.at(spec.name)), index, attempt)
    with diagnostics.shipping() if description.ship_logs else nullcontext():
        log.emit(Started(stage=spec.name, index=index, completions=description.completions, attempt=attempt))
        try:
            signal.signal(signal.SIGTERM, stop)
            stop_when_asked_early()
            log.emit(Checked(counts=dict(check(spec, description, store, index=index))))
        except BaseException as error:
            if description.ship_logs:
                diagnostics.report_failure(error)
            raise


def check(spec: StageSpec, description: TaskDescription, store: Store, *, index: int) -> Mapping[str, int]:
    """The counts of what was checked; raises Corrupt for the first thing that is wrong, StoreError, StalePlan.

    Without the stage's inputs in the description, which a dataset of another run has not, only records and shards are
    checked.
    """

    def dataset(stage: str) -> Dataset:
        folder = store.at(description.runs.get(stage, description.run)).at(stage)
        manifest = load_manifest(folder)
        if manifest is None or manifest.digest != description.inputs[stage]:
            raise Corrupt(f"the manifest of {stage} changed while it was being checked; check again")
        return Dataset(folder, manifest)

    found = dataset(spec.name)
    own = set(spec.inputs) <= description.inputs.keys()
    inputs = {stage: dataset(stage) for stage in spec.inputs} if own else {}
    _check_records(spec, found, inputs, index, description.completions, version=spec.version if own else None)
    output = spec.writes(found)
    task = CheckTask(cast(Any, spec.reads(inputs.values()) if own else None), output, index, description.completions)
    counts: Mapping[str, int] = {}
    try:
        if spec.check and own:
            counts = load(spec.check)(task)
        for _shard, samples in task.shards():  # those that the stage's own check did not read
            for _sample in samples:
                pass
    except NotFound as error:  # while nothing is being removed, what a record names must be there
        raise Corrupt(str(error)) from error
    return counts


def _check_records(
    spec: StageSpec,
    dataset: Dataset,
    inputs: Mapping[str, Dataset],
    index: int,
    completions: int,
    *,
    version: int | None,
) -> None:
    committed = Committed.of(dataset.store)
    outcomes = dataset.manifest.outcomes[index::completions]
    for outcome in outcomes:
        where = f"{spec.name}/{outcome.unit}"
        name = record_name(outcome.unit, outcome.fingerprint)
        record = committed.record(outcome.unit, outcome.fingerprint)
        if record is None:
            raise Corrupt(f"{spec.name}/{name} is missing or cannot be read, but the manifest names it")
        if record.outcome != outcome:
            raise Corrupt(f"{where}: its record {name} says otherwise than the manifest")
        if _fingerprint(spec.name, outcome) != outcome.fingerprint:
            raise Corrupt(f"{where}: its fingerprint is not that of its settings, inputs and version")
        if version is not None and outcome.version > version:  # one of before is whole, and planned to be made anew
            raise Corrupt(f"{where}: it was made by version {outcome.version} of the stage, this is {version}")
        for shard in outcome.shards:
            if shard.object != object_name(shard.name, shard.sha256):
                raise Corrupt(
                    f"{where}: its record names {shard.object} for shard {shard.name} with digest "
                    f"{shard.sha256[:16]}…, which is another shard's"
                )
        if missing := committed.missing(outcome):
            raise Corrupt(f"{spec.name}/{missing[0]} is missing or has another size than its record says")
        if stats := spec.writes.stats_declared():
            stats.check(outcome)
    _check_inputs(spec, outcomes, inputs)


def _check_inputs(spec: StageSpec, outcomes: tuple[Outcome, ...], inputs: Mapping[str, Dataset]) -> None:
    """Every outcome must have read what its inputs hold now."""
    reads = {label: digest for outcome in outcomes for label, digest in outcome.reads.items()}
    for label in changed_inputs(reads, {stage: dataset.shards() for stage, dataset in inputs.items()}):
        unit = next(outcome.unit for outcome in outcomes if outcome.reads.get(label) == reads[label])
        raise Corrupt(f"{spec.name}/{unit} was made from another {label} than is there now")
    for outcome in outcomes:  # units that read one thing must have read the same
        for label, digest in outcome.reads.items():
            if label.partition("/")[0] in inputs and reads[label] != digest:
                raise Corrupt(f"{spec.name}/{outcome.unit} was made from another {label} than is there now")


def _fingerprint(stage: str, outcome: Outcome) -> str:
    return fingerprint(
        stage=stage, version=outcome.version, unit=outcome.unit, settings=outcome.settings, reads=outcome.reads
    )
