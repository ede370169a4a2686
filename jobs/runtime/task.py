"""A task, one index of one stage: what it reads, which units are left for it to do, and how it commits them."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from types import FrameType
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import ValidationError

from jobs.contract.declaration import Contract, Inputs
from jobs.errors import BadConfiguration, BadData, Corrupt, StalePlan
from jobs.runtime import events, log
from jobs.runtime.diagnostics import Diagnostics
from jobs.runtime.earlier import Earlier
from jobs.runtime.environment import ATTEMPT_VARIABLE, store_patience
from jobs.runtime.events import Finished, Started, UnitBegun
from jobs.runtime.former_shards import folders_of
from jobs.runtime.spec import StageSpec, Unit, load
from jobs.runtime.stopping import ending_when_stuck, stop, stop_when_asked_early
from jobs.runtime.task_description import TaskDescription
from jobs.shards.address import open_store, without_patience
from jobs.shards.dataset import Committed, Dataset, Writer, commit, load_manifest, missing_objects, read_record
from jobs.shards.digests import digest_of
from jobs.shards.patience import give_up
from jobs.shards.records import CommitRecord, Manifest, Outcome, Shard
from jobs.shards.store import Store
from jobs.shards.tar import Sample

In = TypeVar("In", bound=Inputs)
Out = TypeVar("Out", bound=Contract[Any])


@dataclass(slots=True)
class Task(Generic[In, Out]):
    """One worker's share of a stage. Workers are functions `run(task, params)`."""

    spec: StageSpec
    params: Any
    inputs: In
    output: Store
    index: int
    completions: int
    attempt: str
    stop_asked: bool = False  # a worker that saves before it stops sets stops_itself and looks at this
    stops_itself: bool = False
    failures: list[BadData] = field(default_factory=list)
    planned: tuple[str, ...] | None = None  # names of the units that this Job is for; None: all
    gang: bool = False
    earlier_runs: tuple[Store, ...] = ()  # others, from which samples may be taken over
    _earlier: Earlier | None = None
    _taken: dict[str, int] = field(default_factory=dict)  # samples taken over, by unit

    @classmethod
    def open(cls, spec: StageSpec, description: TaskDescription, *, index: int, attempt: str) -> Self:
        """Load what the description names; raises BadConfiguration, StalePlan, StoreError."""
        try:
            params = spec.params.model_validate(description.params)
        except ValidationError as error:
            raise BadConfiguration(f"the parameters of {spec.name} are wrong: {error}") from error
        if description.settings not in (None, digest_of(params.settings())):
            raise BadConfiguration(
                f"{spec.name}: a file or folder that its parameters name holds something else here than where the run "
                "was planned, or is missing in one of the two places; the controller and all workers need the same at "
                "the same path"
            )
        store = open_store(description.store, patience_seconds=store_patience())
        datasets = [
            _planned_input(store.at(description.runs.get(stage, description.run)), stage, description.inputs)
            for stage in spec.inputs
        ]
        output = store.at(description.run).at(spec.name)
        return cls(
            spec,
            params,
            cast(In, spec.reads(datasets)),
            output,
            index,
            description.completions,
            attempt,
            planned=description.units,
            gang=description.gang,
            earlier_runs=tuple(store.at(run) for run in description.earlier if run != description.run),
        )

    def units(self) -> list[Unit]:
        """All units of the stage, in its order."""
        return list(self.spec.units(self.params, self.inputs))

    def share(self) -> list[Unit]:
        """This index's units: every n-th of those planned, or all of them in a gang. Raises StalePlan.

        Sliced before what is committed is subtracted, so that indexes never overlap, whatever was done by earlier
        attempts and however many indexes those had.
        """
        units = self._planned_units()
        return units if self.gang else units[self.index :: self.completions]

    def index_of(self, unit: Unit) -> int | None:
        """The index whose share a unit is in; None for one that this Job is not for."""
        names = [one.name for one in self._planned_units()]
        return names.index(unit.name) % self.completions if unit.name in names else None

    def _planned_units(self) -> list[Unit]:
        units = self.units()
        if self.planned is None:
            return units
        wanted = set(self.planned)
        if gone := wanted - {unit.name for unit in units}:
            raise StalePlan(f"{self.spec.name} has no unit {min(gone)!r} any more; the controller plans it again")
        return [unit for unit in units if unit.name in wanted]

    def pending(self) -> Iterator[Unit]:
        """This index's units that are not committed yet."""
        committed = Committed.of(self.output)
        mine = self.share()
        for number, unit in enumerate(mine):
            record = committed.record(unit.name, self.spec.fingerprint(unit))
            if record is None or committed.missing(record.outcome):
                log.emit(UnitBegun(unit=unit.name, number=number, of=len(mine)))
                log.working_on(unit.name)
                yield unit

    def left_by(self, unit: Unit) -> Contract[Dataset] | None:
        """What a unit of this stage has left, whoever made it; None while it is not committed. Raises StoreError."""
        record = read_record(self.output, unit.name, self.spec.fingerprint(unit))
        if record is None or missing_objects(self.output, record.outcome):
            return None
        return self.spec.writes(Dataset(self.output, Manifest(self.spec.name, (record.outcome,))))

    def read(self, shard: Shard) -> Iterator[Sample]:
        """A shard's verified samples, whichever input it is of."""
        (source,) = (one.data for one in self.inputs if shard in one.shards())
        return source.read(shard)

    def taken_over(self, unit: Unit, samples: Iterable[Sample], name: str) -> dict[str, bytes]:
        """{key: the field of that name} of the samples that were made before by the unit's recipe, byte for byte.

        How many they were is noted in the unit's commit record. Only for stages that are `per_sample`.
        """
        if self._earlier is None:
            inputs = [contract.data for contract in self.inputs]
            self._earlier = Earlier(self.spec, folders_of(self.spec, self.output, inputs, self.earlier_runs))
        found = self._earlier.take(unit, samples, name)
        self._taken[unit.name] = len(found)
        return found

    @contextmanager
    def writing(self, unit: Unit) -> Iterator[Out]:
        """Collect what the unit writes and commit it at the end of the block.

        Bad data inside the block is kept for the end of the task, so that the other units are still done.
        """
        started = time.monotonic()
        writer = Writer(self.output)
        try:
            yield cast(Out, self.spec.writes(writer))
        except BadData as error:
            self.failures.append(error)
            self.diagnostics.report_failure(error, unit=unit.name)
            return
        seconds = round(time.monotonic() - started, 3)
        taken = self._taken.pop(unit.name, 0)
        _, won = commit_written(self.spec, unit, writer, self.attempt, seconds=seconds, taken=taken)
        samples = sum(shard.samples for shard in writer.shards)
        log.emit(events.Committed(unit=unit.name, samples=samples, seconds=seconds, won=won))

    @property
    def diagnostics(self) -> Diagnostics:
        """What this attempt leaves for when Pod and node are gone."""
        return Diagnostics(without_patience(self.output), self.index, self.attempt)

    def on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        """Stop at once, or let a worker know that stops itself."""
        self.stop_asked = True
        give_up()
        if not self.stops_itself:
            stop(_signal, _frame)


def commit_written(
    spec: StageSpec, unit: Unit, writer: Writer, attempt: str, *, seconds: float, taken: int = 0
) -> tuple[CommitRecord, bool]:
    """Commit what a unit has written; returns the record, and False where another writer's counts."""
    outcome = Outcome(
        unit=unit.name,
        fingerprint=spec.fingerprint(unit),
        version=spec.version,
        settings=unit.settings,
        reads=unit.reads,
        shards=tuple(writer.shards),
        stats=writer.stats,
    )
    record = CommitRecord(outcome, attempt, seconds, time.time(), library_versions(), taken)
    return record, commit(writer.store, record)


def run_task(spec: StageSpec, description: TaskDescription, *, index: int, attempt: str) -> None:
    """Run one task to its end; raises the I2PError whose exit code decides what the controller does, or Stopped."""
    diagnostics = Diagnostics(open_store(description.store).at(description.run).at(spec.name), index, attempt)
    task: Task[Inputs, Contract[Writer]] | None = None

    def stops_itself() -> bool:
        return task is not None and task.stops_itself

    log.emit(Started(stage=spec.name, index=index, completions=description.completions, attempt=attempt))
    with diagnostics.shipping(), ending_when_stuck(stops_itself, partial(report_end, diagnostics)):
        try:
            signal.signal(signal.SIGTERM, stop)  # until here it was only noted, see jobs/__main__.py
            stop_when_asked_early()
            task = Task.open(spec, description, index=index, attempt=attempt)
            signal.signal(signal.SIGTERM, task.on_sigterm)
            load(spec.worker)(task, task.params)
            log.emit(Finished(failed_units=len(task.failures)))
        except BaseException as error:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends now; what is left to say takes seconds
            diagnostics.report_failure(error)
            raise
    if task.failures:
        others = f" ({len(task.failures)} units failed, the others are done)" if len(task.failures) > 1 else ""
        raise BadData(f"{task.failures[0]}{others}")


def report_end(diagnostics: Diagnostics, reason: BaseException) -> None:
    """Leave the reason for an end that the main thread does not come to know of."""
    diagnostics.report_failure(reason)
    diagnostics.ship_log()


def new_attempt() -> str:
    """A name for this attempt that no other attempt anywhere has."""
    return os.environ.get(ATTEMPT_VARIABLE) or f"{int(time.time())}-{uuid.uuid4().hex[:8]}"


def library_versions() -> dict[str, str]:
    """The versions of Python and of those libraries that have been imported and can change a result."""
    distributions = {
        "torch": "torch",
        "transformers": "transformers",
        "diffusers": "diffusers",
        "open_clip": "open_clip_torch",
        "timm": "timm",
        "sentence_transformers": "sentence-transformers",
        "numpy": "numpy",
        "PIL": "pillow",
        "pyarrow": "pyarrow",
        "accelerate": "accelerate",
    }
    versions = {name: metadata.version(name) for module, name in distributions.items() if module in sys.modules}
    if "faiss" in sys.modules:  # comes from faiss-cpu here and from faiss-gpu in the images
        versions["faiss"] = sys.modules["faiss"].__version__
    return {"python": platform.python_version(), **versions}


def _planned_input(run: Store, stage: str, digests: Mapping[str, str]) -> Dataset:
    try:
        manifest = load_manifest(run.at(stage))
    except Corrupt as error:
        raise StalePlan(f"{error}; the controller plans it again, which writes it anew from the records") from error
    if manifest is None or manifest.digest != digests.get(stage):
        raise StalePlan(f"the dataset {stage} is not the one this task was planned with; the controller plans it again")
    return Dataset(run.at(stage), manifest)
