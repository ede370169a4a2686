"""A task, one index of one stage: what it reads, which units are left for it to do, and how it commits them."""

from __future__ import annotations

import importlib
import json
import os
import platform
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from types import FrameType
from typing import Any

from pydantic import ValidationError

from jobs.errors import BadConfiguration, BadData, JobError, StalePlan
from jobs.runtime import log
from jobs.runtime.spec import StageSpec, Unit
from jobs.shards.address import open_store
from jobs.shards.dataset import Committed, Dataset, Writer, commit, load_manifest
from jobs.shards.digests import canonical_json
from jobs.shards.records import CommitRecord, Outcome, Shard
from jobs.shards.store import Store
from jobs.shards.tar import Sample

TASK_VARIABLE = "I2P_TASK"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"  # Kubernetes sets it for an Indexed Job, the local executor likewise
ATTEMPT_VARIABLE = "I2P_ATTEMPT"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDescription:
    """What a controller tells all tasks of a stage: the same JSON for each, the index apart."""

    store: str
    run: str
    stage: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]  # stage -> digest of its manifest when this task was planned
    completions: int

    def encode(self) -> str:
        return canonical_json(asdict(self)).decode()

    @classmethod
    def decode(cls, text: str) -> TaskDescription:
        """Raises BadConfiguration when the text is not a description."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise BadConfiguration(f"{TASK_VARIABLE} is not the description of a task: {error}") from error


class Stopped(JobError):
    """The worker was asked to stop (SIGTERM); a retry goes on where it left off."""


@dataclass(slots=True)
class Task:
    """One worker's share of a stage. Workers are functions `run(task, params)`."""

    spec: StageSpec
    params: Any
    inputs: tuple[Dataset, ...]
    output: Store
    index: int
    completions: int
    attempt: str
    stop_asked: bool = False  # a worker that saves before it stops sets stops_itself and looks at this
    stops_itself: bool = False
    failures: list[BadData] = field(default_factory=list)

    @classmethod
    def open(cls, spec: StageSpec, description: TaskDescription, *, index: int, attempt: str) -> Task:
        """Load what the description names; raises BadConfiguration, StalePlan, StoreError."""
        try:
            params = spec.params.model_validate(description.params)
        except ValidationError as error:
            raise BadConfiguration(f"the parameters of {spec.name} are wrong: {error}") from error
        run = open_store(description.store).at(description.run)
        inputs = tuple(_planned_input(run, stage, description.inputs) for stage in spec.inputs)
        return cls(spec, params, inputs, run.at(spec.name), index, description.completions, attempt)

    def units(self) -> list[Unit]:
        """All units of the stage, in its order."""
        return list(self.spec.units(self.params, self.inputs))

    def pending(self) -> Iterator[Unit]:
        """This index's units that are not committed yet.

        Sliced before subtracted, so that indexes never overlap, whatever was done by earlier attempts and however
        many indexes those had.
        """
        committed = Committed.of(self.output)
        mine = self.units()[self.index :: self.completions]
        for number, unit in enumerate(mine):
            record = committed.record(unit.name, self.spec.fingerprint(unit))
            if record is None or committed.missing(record.outcome):
                log.event("unit", unit=unit.name, number=number, of=len(mine))
                yield unit

    def read(self, shard: Shard) -> Iterator[Sample]:
        """A shard's verified samples, whichever input it is of."""
        (source,) = (dataset for dataset in self.inputs if shard in dataset.shards())
        return source.read(shard)

    @contextmanager
    def writing(self, unit: Unit) -> Iterator[Writer]:
        """Collect the unit's shards and commit them at the end of the block.

        Bad data inside the block is kept for the end of the task, so that the other units are still done.
        """
        started = time.monotonic()
        writer = Writer(self.output)
        try:
            yield writer
        except BadData as error:
            self.failures.append(error)
            self.report_failure(error, unit=unit.name)
            return
        outcome = Outcome(
            unit=unit.name,
            fingerprint=self.spec.fingerprint(unit),
            version=self.spec.version,
            settings=unit.settings,
            reads=unit.reads,
            shards=tuple(writer.shards),
            stats=writer.stats,
        )
        seconds = round(time.monotonic() - started, 3)
        won = commit(self.output, CommitRecord(outcome, self.attempt, seconds, time.time(), library_versions()))
        samples = sum(shard.samples for shard in writer.shards)
        log.event("committed", unit=unit.name, samples=samples, seconds=seconds, won=won)

    def report_failure(self, error: BaseException, *, unit: str | None = None) -> None:
        """Leave the reason and the traceback in the store, where `why` finds them when Pod and node are gone."""
        told = {
            "unit": unit,
            "index": self.index,
            "attempt": self.attempt,
            "exit_code": exit_code_of(error),
            "error": f"{type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
            "time": time.time(),
        }
        log.event("failed", **told)
        self._leave(f"failures/{unit or f'index-{self.index}'}-{self.attempt}.json", canonical_json(told))

    def ship_log(self) -> None:
        """Leave the log in the store."""
        self._leave(f"logs/{self.index:05d}-{self.attempt}.jsonl", log.lines())

    def _leave(self, name: str, body: bytes) -> None:
        try:
            self.output.create(name, body)
        except JobError as error:  # must not hide the failure that is being reported, which stderr has
            log.event("not shipped", object=name, error=str(error))

    def on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        """Stop at once, or tell a worker that stops itself."""
        self.stop_asked = True
        if not self.stops_itself:
            raise Stopped("asked to stop by SIGTERM; what was committed is kept, a retry goes on from there")


def run_task(spec: StageSpec, description: TaskDescription, *, index: int, attempt: str) -> None:
    """Run one task to its end; raises the JobError whose exit code tells the controller what to do."""
    task = Task.open(spec, description, index=index, attempt=attempt)
    signal.signal(signal.SIGTERM, task.on_sigterm)
    log.event("started", stage=task.spec.name, index=index, completions=task.completions, attempt=attempt)
    try:
        module, _, function = task.spec.worker.partition(":")
        getattr(importlib.import_module(module), function)(task, task.params)
        log.event("finished", failed_units=len(task.failures))
    except BaseException as error:
        task.report_failure(error)
        raise
    finally:
        task.ship_log()
    if task.failures:
        others = f" ({len(task.failures)} units failed, the others are done)" if len(task.failures) > 1 else ""
        raise BadData(f"{task.failures[0]}{others}")


def new_attempt() -> str:
    """A name for this attempt that no other attempt anywhere has."""
    return os.environ.get(ATTEMPT_VARIABLE) or f"{int(time.time())}-{uuid.uuid4().hex[:8]}"


def exit_code_of(error: BaseException) -> int:
    """What the process should exit with: the error's own code, or the one of a counted retry."""
    return error.exit_code if isinstance(error, JobError) else JobError.exit_code


def library_versions() -> dict[str, str]:
    """The versions of Python and of those libraries that have been imported and can change a result."""
    distributions = {
        "torch": "torch", "transformers": "transformers", "diffusers": "diffusers", "open_clip": "open_clip_torch",
        "timm": "timm", "sentence_transformers": "sentence-transformers", "numpy": "numpy", "PIL": "pillow",
        "pyarrow": "pyarrow", "accelerate": "accelerate",
    }  # fmt: skip
    versions = {name: metadata.version(name) for module, name in distributions.items() if module in sys.modules}
    if "faiss" in sys.modules:  # comes from faiss-cpu here and from faiss-gpu in the images
        versions["faiss"] = sys.modules["faiss"].__version__
    return {"python": platform.python_version(), **versions}


def _planned_input(run: Store, stage: str, digests: Mapping[str, str]) -> Dataset:
    manifest = load_manifest(run.at(stage))
    if manifest is None or manifest.digest != digests.get(stage):
        raise StalePlan(f"the dataset {stage} is not the one this task was planned with; the controller plans it again")
    return Dataset(run.at(stage), manifest)
