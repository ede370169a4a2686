"""What nothing reaches any more: records of old parameters, losing shards, abandoned checkpoints, old logs.

Reached is what the manifest names, what a plan counts on or is about to make (this configuration's, and every one that
somebody runs now), and whatever younger objects and records stand for. Other runs and claims reach a stage through its
manifest. A stage whose inputs are not all done is left alone: what its units will be is not known yet.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from jobs.errors import BadConfiguration
from jobs.runtime.spec import StageSpec
from jobs.shards import removal
from jobs.shards.dataset import load_manifest, read_record_named
from jobs.shards.records import NAME_DIGITS, record_name
from jobs.shards.removal import REMOVED_SECONDS, RENEWED_SECONDS, age, announcing
from jobs.shards.store import ObjectStat, Store
from pipeline.configuration.run_config import RunConfig
from pipeline.planning.plan import StagePlan, make_plan

LEAST_AGE_SECONDS = 2 * RENEWED_SECONDS  # younger objects may have been found and not been renewed by a worker

_AT_ONCE = 16  # requests
_ANNOUNCED_AT_ONCE = 10_000  # names
_LOGS = ("logs/", "processes/", "failures/", "damaged/")

Configs = Callable[[], Iterable[RunConfig]]
Open = Callable[[RunConfig], Store]


@dataclass(frozen=True, slots=True)
class Ages:
    """How old things must be to be garbage, in seconds."""

    unreached: float = 86_400.0
    logs: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """An object that nothing reaches, its bytes, and what it was."""

    stage: str
    name: str
    size: int
    reason: str


def find_garbage(spec: StageSpec, open_run: Open, configs: Configs, ages: Ages, now: float) -> list[Garbage]:
    """The garbage of one stage; `configs` gives those that are run now, the first of them this one's.

    Raises Corrupt where the manifest or a note of a running controller is damaged, and whatever planning raises: what
    is reached must be known.
    """
    reached_by = list(configs())
    store = open_run(reached_by[0]).at(spec.name)
    plans = [_plan_of(spec, make_plan(open_run(config), config)) for config in reached_by]
    logs = [
        Garbage(spec.name, stat.name, stat.size, "old log")
        for folder in _LOGS
        for stat in store.list(folder)
        if age(stat, now) >= ages.logs
    ]
    announcements = [
        Garbage(spec.name, stat.name, stat.size, "announcement of a removal that ended early")
        for stat in store.list(removal.FOLDER)
        if age(stat, now) >= ages.unreached
    ]
    known = [plan for plan in plans if plan is not None]
    if any(plan.units is None or not plan.ready for plan in known):
        return [*announcements, *logs]
    return [
        *_records_and_shards(spec.name, store, known, ages, now),
        *_checkpoints(spec.name, store, known, ages, now),
        *announcements,
        *logs,
    ]


def _plan_of(spec: StageSpec, plans: Sequence[StagePlan]) -> StagePlan | None:
    return next((plan for plan in plans if plan.spec.name == spec.name), None)


def _records_and_shards(
    stage: str, store: Store, plans: Sequence[StagePlan], ages: Ages, now: float
) -> Iterator[Garbage]:
    manifest = load_manifest(store)
    named = manifest.names if manifest else frozenset()
    units = [unit for plan in plans for unit in plan.units or ()]
    reached = set(named) | {record_name(unit.unit, unit.fingerprint) for unit in units}
    reached.update(shard.object for unit in units if unit.outcome for shard in unit.outcome.shards)
    records = list(store.list("commits/"))
    old = {stat.name for stat in records if stat.name not in reached and age(stat, now) >= ages.unreached}
    others = [stat.name for stat in records if stat.name not in old and stat.name not in named]
    reached.update(_objects_of(store, others))
    for stat in records:
        if stat.name in old:
            yield Garbage(stage, stat.name, stat.size, "record of other parameters or inputs")
    for stat in store.list("shards/"):
        if stat.name not in reached and age(stat, now) >= ages.unreached:
            yield Garbage(stage, stat.name, stat.size, "shard that no record names")


def _objects_of(store: Store, records: Sequence[str]) -> Iterator[str]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for record in pool.map(partial(read_record_named, store), records):
            if record:
                yield from (shard.object for shard in record.outcome.shards)


def _checkpoints(stage: str, store: Store, plans: Sequence[StagePlan], ages: Ages, now: float) -> Iterator[Garbage]:
    """Those of units that are made, or that nobody makes any more."""
    making = {unit.fingerprint[:NAME_DIGITS] for plan in plans for unit in plan.units or () if unit.action != "skip"}
    by_unit: dict[str, list[ObjectStat]] = defaultdict(list)
    for stat in store.list("checkpoints/"):
        by_unit[stat.name.split("/")[1]].append(stat)
    for unit, stats in by_unit.items():
        if unit not in making and all(age(stat, now) >= ages.unreached for stat in stats):
            yield from (Garbage(stage, stat.name, stat.size, "abandoned checkpoint") for stat in stats)


def remove_garbage(
    spec: StageSpec, open_run: Open, configs: Configs, ages: Ages, found: Sequence[Garbage]
) -> Iterator[Garbage]:
    """Remove what was found and is still garbage when it has been announced; gives what is gone, as it goes.

    Raises as `find_garbage`, and BadConfiguration for an age that is not safe.
    """
    if ages.unreached < LEAST_AGE_SECONDS:
        raise BadConfiguration(
            f"garbage must be {LEAST_AGE_SECONDS / 3600:.0f} hours old or more to be removed beside "
            f"running workers; given {ages.unreached / 3600:g}"
        )
    for start in range(0, len(found), _ANNOUNCED_AT_ONCE):
        batch = found[start : start + _ANNOUNCED_AT_ONCE]
        store = open_run(next(iter(configs()))).at(spec.name)
        with announcing(store, [one.name for one in batch]) as now:
            began = time.monotonic()
            still = set(find_garbage(spec, open_run, configs, ages, now))
            for group in _in_order([one for one in batch if one in still]):
                yield from _remove(store, group, until=began + REMOVED_SECONDS)


def _in_order(garbage: Sequence[Garbage]) -> Iterator[list[Garbage]]:
    """Records first, of shards and of checkpoints: no record is ever left without what it names."""
    yield [one for one in garbage if one.name.endswith(".json")]
    yield [one for one in garbage if not one.name.endswith(".json")]


def _remove(store: Store, garbage: Sequence[Garbage], *, until: float) -> Iterator[Garbage]:
    def remove(one: Garbage) -> Garbage | None:
        if time.monotonic() >= until:  # the announcement will soon not count any more
            return None
        store.delete(one.name)
        return one

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from (one for one in pool.map(remove, garbage) if one)
