"""Three small stages that show what a sample was made of, and the configuration that runs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from jobs.runtime.spec import Params, StageSpec, Unit, one_unit, unit_per_shard
from jobs.runtime.task import Task
from jobs.shards.tar import Sample
from pipeline.configuration.resources import Kubernetes, Resources

RUN = "run"
STORE = "s3://simulated/runs"


class SimulatedParams(Params):
    """What shapes the result."""

    num_units: int = 2
    tag: str = "x"


def _collect_units(params: SimulatedParams, inputs: Any) -> list[Unit]:
    return [Unit(f"a{number}", params.settings(), {}) for number in range(params.num_units)]


def _stage(name: str, inputs: tuple[str, ...], units: Any, *, parallel: bool = True) -> StageSpec:
    return StageSpec(name=name, worker="tests.simulation.graph:run", inputs=inputs, params=SimulatedParams,
                     units=units, parallel=parallel)  # fmt: skip


COLLECT = _stage("collect", (), _collect_units)
EMBED = _stage("embed", ("collect",), lambda params, inputs: unit_per_shard(params, inputs[0], inputs[0].shards()))
DEDUP = _stage("dedup", ("embed",), lambda params, inputs: one_unit("c", params, inputs[0].reads()), parallel=False)
SPECS = (COLLECT, EMBED, DEDUP)
BY_NAME = {spec.name: spec for spec in SPECS}


def salt(task: Task) -> str:
    """What a worker that is not bit-reproducible adds; the simulation replaces it."""
    return ""


def linger() -> None:
    """How long a worker takes between its data and their record; the simulation replaces it."""


def run(task: Task, params: SimulatedParams) -> None:
    """Write for each unit a text that holds the texts it was made of."""
    for unit in task.pending():
        with task.writing(unit) as output:
            text = f"{task.spec.name} {unit.name} {params.tag}{salt(task)}("
            shards = unit.shards or [shard for dataset in task.inputs for shard in dataset.shards()]
            text += "|".join(sample.text() for shard in shards for sample in task.read(shard))
            output.add_shard(f"{unit.name}-00000" if task.spec is COLLECT else unit.name,
                             [Sample("k", {"txt": f"{text})".encode()})])  # fmt: skip
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
