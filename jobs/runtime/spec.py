"""What a stage is: its parameters, contract, and the units of work that follow from them. Free of torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.contract.declaration import Contract, Inputs
from jobs.shards.dataset import Dataset
from jobs.shards.reads import reads_of_shard
from jobs.shards.records import Shard, fingerprint
from jobs.shards.store_checks import Check
from jobs.shards.tar import Sample


class Params(BaseModel):
    """The parameters of a stage: frozen, checked, and part of what a unit's fingerprint covers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # Parameters that are not in a unit's settings because they show otherwise: in which units there are, or in the
    # digest of what a unit reads.
    decides_units: ClassVar[frozenset[str]] = frozenset()
    read_by_content: ClassVar[frozenset[str]] = frozenset()

    def settings(self) -> dict[str, Any]:
        """The parameters as the JSON that a fingerprint covers: all that can change what comes out, nothing else."""
        return self.model_dump(mode="json")

    def preconditions(self) -> Iterator[Check]:
        """What the stage needs to find outside of the store; `doctor` asks before a run starts."""
        return iter(())


def without_defaults(model: BaseModel, serialise: Callable[[Any], dict[str, Any]], *members: str) -> dict[str, Any]:
    """The JSON of a model without those of its `members` that have their default; of a member that is a model itself,
    only what is not the default is written.

    For what was added later, or does not shape a result: with the defaults, settings and fingerprints stay as they are.
    """
    dumped = serialise(model)
    for member in members:
        value = getattr(model, member)
        if value == type(model).model_fields[member].default:
            dumped.pop(member, None)
        elif isinstance(value, BaseModel):
            dumped[member] = value.model_dump(mode="json", exclude_defaults=True)
    return dumped


class TorchParams(Params):
    """The parameters of every stage that computes with torch."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model runs. Asking for cuda where there is none is an error, never a silent fallback."""

    threads: int = Field(default=1, ge=1)
    """CPU threads of one worker. Part of the result: another number adds in another order."""


def load(reference: str) -> Any:
    """The function that `MODULE:NAME` names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, slots=True)
class Unit:
    """The work behind one commit record: what shapes it, what it reads, and the shards it works through."""

    name: str
    settings: Mapping[str, Any]
    reads: Mapping[str, str]
    shards: tuple[Shard, ...] = ()


UnitsOf = Callable[[Any, Any], Sequence[Unit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Files that people open of what a stage left, in a folder of the run."""

    name: str
    folder: str
    page: str
    """The file to open first, below the run."""

    write: str
    """"MODULE:NAME", (contract, folder, name of the run): writes what is not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage of the graph. How large to run it is the configuration's business, not the code's."""

    reads: type[Inputs]  # the contracts of the stages whose datasets it reads, all finished before it starts
    writes: type[Contract[Any]]
    params: type[Params]
    units: UnitsOf  # (params, inputs) -> units in the stage's order; pure and quick
    worker: str  # "jobs.embed.worker:run"
    check: str = ""  # "jobs.embed.check:check", what `verify` looks at beside the contract
    section: str = ""  # "jobs.embed.section:page", what the report shows of it
    summary: str = ""  # "jobs.evaluate.summary:summary", its figures as text
    results: str = ""  # "jobs.infer.results.of_run:RESULTS", files that people open, where it has more than its exports
    comparison: str = ""  # "jobs.evaluate.comparison:comparison", its figures in two runs beside each other
    lineage: str = ""  # "jobs.dedup.lineage:LINEAGE", what it says of one prompt or image
    version: int = 1  # counted up when the same parameters and inputs give another output
    parallel: bool = True  # False: the whole stage is one task
    per_sample: bool = False  # what it adds to a sample follows from key, `txt`, settings and version alone
    makes: str = (
        ""  # "MODULE:NAME", of a stage that is per_sample: whether it makes something for a sample; "" for each
    )
    gang: bool = False  # several Pods may work on its one task together, as one world of torch.distributed
    about: str = ""

    @property
    def name(self) -> str:
        return self.writes.stage

    @property
    def inputs(self) -> tuple[str, ...]:
        """The stages that it reads."""
        return self.reads.stages()

    @property
    def package(self) -> str:
        """The Python package of the stage, also the name of its extra in pyproject.toml."""
        return self.name.replace("-", "_")

    def units_of(self, params: Params, datasets: Iterable[Dataset]) -> list[Unit]:
        """Its units, from the datasets that it reads."""
        return list(self.units(params, self.reads(datasets)))

    def makes_for(self, sample: Sample) -> bool:
        """Whether the stage makes something for a sample of its input."""
        return not self.makes or bool(load(self.makes)(sample))

    def fingerprint(self, unit: Unit) -> str:
        """The digest of everything that shapes the unit's outcome."""
        return fingerprint(
            stage=self.name, version=self.version, unit=unit.name, settings=unit.settings, reads=unit.reads
        )


def unit_per_shard(params: Params, source: str, shards: Iterable[Shard], *whole: Mapping[str, str]) -> list[Unit]:
    """One unit for each shard of a stage, of the same name; `whole` is what each of them reads besides."""
    besides = {label: digest for reads in whole for label, digest in reads.items()}
    return [
        Unit(shard.name, params.settings(), {**reads_of_shard(source, shard), **besides}, (shard,)) for shard in shards
    ]


def one_unit(name: str, params: Params, *whole: Mapping[str, str], shards: tuple[Shard, ...] = ()) -> list[Unit]:
    """A single unit that reads whole datasets or groups of them."""
    return [Unit(name, params.settings(), {label: digest for one in whole for label, digest in one.items()}, shards)]
