"""How much of what a stage lacks was made before and is taken over, and how long the rest takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.errors import Corrupt, StoreAway, StoreError
from jobs.runtime.earlier import Earlier
from jobs.runtime.former_shards import folders_of
from jobs.runtime.spec import Unit
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.planning.earlier_runs import earlier_runs
from pipeline.planning.plan import StagePlan
from pipeline.planning.run_store import root_of

_LOOKED_AT = 64  # units of a stage; of more a fair sample says how it is with all


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """Of the samples that a stage lacks, how many bring what it adds, are taken over, or are made."""

    stage: str
    brought: int
    taken: int
    made: int
    exact: bool  # False: from a sample of the units
    seconds: float | None  # that making is expected to take; None where none of this recipe was made before


def takeovers(store: Store, config: RunConfig, plans: Sequence[StagePlan]) -> Iterator[Takeover]:
    """For every stage that takes over samples, whose inputs are there and which lacks something. Reads shards.

    `store` is the run's. Raises StoreAway; of what cannot be read nothing is said.
    """
    for plan in plans:
        if plan.spec.per_sample and plan.ready and plan.pending:
            try:
                yield _takeover(store, config, plan)
            except StoreAway:
                raise
            except (StoreError, Corrupt):
                continue


def _takeover(store: Store, config: RunConfig, plan: StagePlan) -> Takeover:
    spec = plan.spec
    datasets = [
        Dataset(store.at(name), manifest) for name in spec.inputs if (manifest := load_manifest(store.at(name)))
    ]
    others = [root_of(config).at(run) for run in earlier_runs(config, spec.name)]
    earlier = Earlier(spec, folders_of(spec, store.at(spec.name), datasets, others))
    lacking = {unit.unit for unit in plan.units or () if unit.action != "skip"}
    units = [unit for unit in spec.units_of(config.params(spec), datasets) if unit.name in lacking]
    looked_at = units if len(units) <= _LOOKED_AT else [units[_nth(one, len(units))] for one in range(_LOOKED_AT)]
    found = [_found(earlier, unit, datasets) for unit in looked_at]
    samples = sum(_num_samples(unit) for unit in units)
    scale = samples / max(1, sum(_num_samples(unit) for unit in looked_at))  # 1 where all were looked at
    brought, taken = (round(scale * sum(one[which] for one in found)) for which in (0, 1))
    made = samples - brought - taken
    at_once = max(1, min(config.resources(spec).parallelism, len(units)))
    rate = earlier.seconds_per_sample(units[0]) if units else None
    return Takeover(
        stage=spec.name,
        brought=brought,
        taken=taken,
        made=made,
        exact=len(looked_at) == len(units),
        seconds=0.0 if not made else None if rate is None else rate * made / at_once,
    )


def _nth(number: int, units: int) -> int:
    """The number of the n-th of those that are looked at, spread evenly over all."""
    return math.floor((number + 0.5) * units / _LOOKED_AT)


def _num_samples(unit: Unit) -> int:
    return sum(shard.samples for shard in unit.shards)


def _found(earlier: Earlier, unit: Unit, datasets: Sequence[Dataset]) -> tuple[int, int]:
    """How many of a unit's samples bring what the stage adds, and how many are taken over."""
    brought = taken = 0
    for shard in unit.shards:
        (source,) = (dataset for dataset in datasets if shard in dataset.shards())
        samples = list(source.read(shard))
        wanted = [sample for sample in samples if earlier.spec.makes_for(sample)]
        brought += len(samples) - len(wanted)
        taken += earlier.count(unit, wanted)
    return brought, taken
