"""Three small stages that show what a sample was made of, and the configuration that runs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from jobs.contract.declaration import Access, Contract, Inputs, Splits
from jobs.runtime.spec import Params, StageSpec, Unit, one_unit, unit_per_shard
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.strict_json import JsonModel
from pipeline.configuration.resources import Kubernetes, Resources

RUN = "run"
STORE = "s3://simulated/runs"


class SimulatedParams(Params):
    """What shapes the result."""

    num_units: int = 2
    tag: str = "x"


def _collect_units(params: SimulatedParams, inputs: Any) -> list[Unit]:
    return [Unit(f"a{number}", params.settings(), {}) for number in range(params.num_units)]


class Text(JsonModel):
    """The samples of the simulation have no JSON to speak of."""


class Collected(Contract[Access], stage="collect"):
    """Groups are units."""

    texts = Splits(Text, "txt")


class EmbedInputs(Inputs):
    """One stage."""

    collected: Collected[Dataset]


class Embedded(Contract[Access], stage="embed"):
    """Groups are those of its input."""

    texts = Splits(Text, "txt")


class DedupInputs(Inputs):
    """One stage."""

    embedded: Embedded[Dataset]


class Deduplicated(Contract[Access], stage="dedup"):
    """One group."""

    texts = Splits(Text, "txt")


def _stage(reads: type[Inputs], writes: type[Contract[Any]], units: Any, *, parallel: bool = True) -> StageSpec:
    return StageSpec(
        reads=reads,
        writes=writes,
        params=SimulatedParams,
        units=units,
        worker="tests.simulation.graph:run",
        parallel=parallel,
    )


def _embed_units(params: SimulatedParams, inputs: EmbedInputs) -> list[Unit]:
    return unit_per_shard(params, inputs.collected.stage, inputs.collected.shards())


def _dedup_units(params: SimulatedParams, inputs: DedupInputs) -> list[Unit]:
    return one_unit("c", params, inputs.embedded.reads())


COLLECT = _stage(Inputs, Collected, _collect_units)
EMBED = _stage(EmbedInputs, Embedded, _embed_units)
DEDUP = _stage(DedupInputs, Deduplicated, _dedup_units, parallel=False)
SPECS = (COLLECT, EMBED, DEDUP)
BY_NAME = {spec.name: spec for spec in SPECS}


def salt(task: Task[Inputs, Contract[Writer]]) -> str:
    """What a worker that is not bit-reproducible adds; the simulation replaces it."""
    return ""


def linger() -> None:
    """How long a worker takes between its data and their record; the simulation replaces it."""


def run(task: Task[Inputs, Any], params: SimulatedParams) -> None:
    """Write for each unit a text that holds the texts it was made of."""
    for unit in task.pending():
        with task.writing(unit) as output:
            text = f"{task.spec.name} {unit.name} {params.tag}{salt(task)}("
            shards = unit.shards or [shard for dataset in task.inputs for shard in dataset.shards()]
            text += "|".join(sample.text() for shard in shards for sample in task.read(shard))
            name = f"{unit.name}-00000" if task.spec is COLLECT else unit.name
            output.texts.write_shard(name, [output.texts.sample("k", Text(), txt=f"{text})".encode())])
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
