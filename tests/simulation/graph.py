"""Three small stages that show what a sample was made of, and the configuration that runs them.

collect deals three prompts out to its units, embed adds to each prompt what follows from it alone, or takes that over,
and dedup puts everything into one text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from jobs.contract.declaration import Access, Contract, Inputs, Splits
from jobs.runtime.spec import Params, StageSpec, Unit, one_unit, unit_per_shard
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.strict_json import JsonModel
from jobs.shards.tar import Sample
from pipeline.configuration.resources import Kubernetes, Resources

RUN = "run"
OTHER_RUN = "other"
STORE = "s3://simulated/runs"
NUM_PROMPTS = 3


class SimulatedParams(Params):
    """What shapes the result."""

    num_units: int = 2
    tag: str = "x"


def _collect_units(params: SimulatedParams, inputs: Any) -> list[Unit]:
    return [Unit(f"a{number}", params.settings(), {}) for number in range(params.num_units)]


class Text(JsonModel):
    """What a sample is of."""

    of: str = ""


class Collected(Contract[Access], stage="collect"):
    """Groups are units."""

    texts = Splits(Text, "txt")


class EmbedInputs(Inputs):
    """One stage."""

    collected: Collected[Dataset]


class Embedded(Contract[Access], stage="embed"):
    """Groups are those of its input."""

    texts = Splits(Text, "txt", "vec")


class DedupInputs(Inputs):
    """One stage."""

    embedded: Embedded[Dataset]


class Deduplicated(Contract[Access], stage="dedup"):
    """One group."""

    texts = Splits(Text, "txt")


def _stage(
    reads: type[Inputs],
    writes: type[Contract[Any]],
    units: Any,
    worker: str,
    *,
    parallel: bool = True,
    per_sample: bool = False,
) -> StageSpec:
    return StageSpec(
        reads=reads,
        writes=writes,
        params=SimulatedParams,
        units=units,
        worker=f"tests.simulation.graph:{worker}",
        parallel=parallel,
        per_sample=per_sample,
    )


def _embed_units(params: SimulatedParams, inputs: EmbedInputs) -> list[Unit]:
    whatever_cut = params.model_copy(update={"num_units": 0})  # a sample is the same in any shard
    return unit_per_shard(whatever_cut, inputs.collected.stage, inputs.collected.shards())


def _dedup_units(params: SimulatedParams, inputs: DedupInputs) -> list[Unit]:
    return one_unit("c", params, inputs.embedded.reads())


COLLECT = _stage(Inputs, Collected, _collect_units, "collect")
EMBED = _stage(EmbedInputs, Embedded, _embed_units, "embed", per_sample=True)
DEDUP = _stage(DedupInputs, Deduplicated, _dedup_units, "dedup", parallel=False)
SPECS = (COLLECT, EMBED, DEDUP)
BY_NAME = {spec.name: spec for spec in SPECS}


def salt(task: Task[Inputs, Contract[Writer]]) -> str:
    """What a worker that is not bit-reproducible adds; the simulation replaces it."""
    return ""


def linger() -> None:
    """How long a worker takes between its data and their record; the simulation replaces it."""


def content(samples: Iterable[Sample]) -> str:
    """All that the samples hold, as text."""
    return "|".join(
        f"{sample.text('json')} {sample.text()} {sample.fields.get('vec', b'').decode()}" for sample in samples
    )


def collect(task: Task[Inputs, Any], params: SimulatedParams) -> None:
    """Deal the prompts out to the units; their texts are the same whatever the tag."""
    for unit in task.pending():
        with task.writing(unit) as output:
            mine = range(int(unit.name[1:]), NUM_PROMPTS, params.num_units)
            origin = Text(of=f"{unit.name} {params.tag}")
            samples = [
                output.texts.sample(f"k{number}", origin, txt=f"prompt {number}{salt(task)}".encode())
                for number in mine
            ]
            output.texts.write_shard(f"{unit.name}-00000", samples)
            linger()


def embed(task: Task[Inputs, Any], params: SimulatedParams) -> None:
    """Add to each prompt what follows from it and the tag; what was made before is taken over."""
    for unit in task.pending():
        with task.writing(unit) as output:
            samples = [sample for shard in unit.shards for sample in task.read(shard)]
            taken = task.taken_over(unit, samples, "vec")
            made = {
                sample.key: f"embed {params.tag}{salt(task)}({sample.text()})".encode()
                for sample in samples
                if sample.key not in taken
            }
            vectors = {**taken, **made}
            output.texts.write_shard(unit.name, [sample.adding(vec=vectors[sample.key]) for sample in samples])
            linger()


def dedup(task: Task[Inputs, Any], params: SimulatedParams) -> None:
    """Write a text that holds everything that it was made of."""
    for unit in task.pending():
        with task.writing(unit) as output:
            shards = [shard for dataset in task.inputs for shard in dataset.shards()]
            text = f"dedup {params.tag}{salt(task)}({'|'.join(content(task.read(shard)) for shard in shards)})"
            output.texts.write_shard(unit.name, [output.texts.sample("k", Text(), txt=text.encode())])
            linger()


@dataclass(frozen=True)
class Config:
    """What the pipeline asks of a RunConfig, without what checking one costs."""

    num_units: int = 2
    tag: str = "x"
    parallelism: int = 1
    ttl_seconds: int = 60
    executor: str = "kubernetes"
    run: str = RUN
    store: str = STORE
    store_label: str = "simulated"

    specs = SPECS
    inputs: dict[str, str] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", {})

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"num_units": self.num_units, "tag": self.tag, "parallelism": self.parallelism}

    def params(self, spec: StageSpec) -> SimulatedParams:
        return SimulatedParams(num_units=self.num_units, tag=self.tag)

    def origin(self, stage: str) -> str:
        return self.run

    def resources(self, spec: StageSpec) -> Resources:
        return _resources(self.parallelism)

    @property
    def kubernetes(self) -> Kubernetes:
        return _kubernetes(self.ttl_seconds)


@cache
def _resources(parallelism: int) -> Resources:
    return Resources(parallelism=parallelism, retries=3)


@cache
def _kubernetes(ttl_seconds: int) -> Kubernetes:
    return Kubernetes(images={name: f"registry/{name}" for name in BY_NAME}, ttl_seconds=ttl_seconds)
