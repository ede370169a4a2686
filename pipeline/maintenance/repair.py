"""Finds every stored object of a run that is not what it should be, and clears the way for making it again.

A shard that is damaged is set aside as `damaged/NAME`, so that its unit is missing and the next run makes it; a record
or manifest that cannot be read is written again by that run, from each other. Nothing that is whole is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain

from jobs.errors import Corrupt, I2PError, NotFound
from jobs.runtime.diagnostics import failure_in
from jobs.runtime.events import event_in, log_of
from jobs.shards.dataset import load_manifest, read_record_named
from jobs.shards.records import Shard
from jobs.shards.store import Store, verified
from pipeline.configuration.run_config import RunConfig
from pipeline.planning.desired_state import CONTROL, read_desired_state
from pipeline.planning.plan import StagePlan, make_plan
from pipeline.scheduled.claims import restore_claims

DAMAGED = "damaged/"

_AT_ONCE = 8  # shards; each is in memory


@dataclass(frozen=True, slots=True)
class Finding:
    """An object that is not what it should be, and what becomes of it; `lost` if nothing can make it again."""

    name: str
    what: str
    lost: bool = False


def clear_damage(store: Store, config: RunConfig) -> Iterator[Finding]:
    """Look at everything that a run has of its own, as it goes; `store` is the run's. Raises StoreError.

    What is gone is found by the plan that follows (`make_plan(..., repair=True)`).
    """
    yield from _check_desired_state(store)
    yield from (Finding(name, what, lost) for name, what, lost in restore_claims(store))
    plans: list[StagePlan] = []
    try:
        plans = make_plan(store, config, repair=True)
    except I2PError as error:
        yield Finding("", f"nothing can be planned, so only what manifests name is looked at: {error}", lost=True)
    for spec in config.specs:
        stage = store.at(spec.name)
        plan = next((one for one in plans if one.spec.name == spec.name), None)
        shards = {shard.object: shard for shard in _shards(stage, plan)}
        yield from _manifest(stage, spec.name)
        yield from _records(stage, spec.name)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(partial(_shard, stage, spec.name), shards.values())
            yield from chain.from_iterable(found)
        yield from _evidence(stage, spec.name)


def _check_desired_state(store: Store) -> Iterator[Finding]:
    try:
        read_desired_state(store)
    except Corrupt as error:
        store.delete(CONTROL)
        yield Finding(CONTROL, f"removed, the run is neither paused nor cancelled: {error}", lost=True)


def _manifest(stage: Store, name: str) -> Iterator[Finding]:
    try:
        load_manifest(stage)
    except Corrupt as error:
        yield Finding(f"{name}/manifest.json", f"to be written again from the records: {error}")


def _records(stage: Store, name: str) -> Iterator[Finding]:
    for stat in stage.list("commits/"):
        if read_record_named(stage, stat.name) is None:
            what = "cannot be read: to be written again from the manifest, or with its unit"
            yield Finding(f"{name}/{stat.name}", what)


def _shards(stage: Store, plan: StagePlan | None) -> Iterator[Shard]:
    """What the plan counts on, and what is published now."""
    for unit in (plan.units or ()) if plan else ():
        yield from unit.outcome.shards if unit.outcome else ()
    with suppress(Corrupt):
        if manifest := load_manifest(stage):
            yield from manifest.shards


def _shard(stage: Store, name: str, shard: Shard) -> list[Finding]:
    try:
        verified(stage, shard.object, size=shard.size, sha256_=shard.sha256)
    except NotFound:  # the plan says so, and why it is made again
        return [Finding(f"{name}/{shard.object}", "is gone: to be made again")]
    except Corrupt as error:
        aside = f"{DAMAGED}{shard.object.removeprefix('shards/')}"
        with suppress(NotFound):
            stage.put(aside, stage.read(shard.object).data)
            stage.delete(shard.object)
        return [Finding(f"{name}/{shard.object}", f"set aside as {aside}, to be made again: {error}")]
    return []


def _evidence(stage: Store, name: str) -> Iterator[Finding]:
    """Logs and failures only say what happened; nothing is made from them and nothing can make them again."""
    for stat in chain(stage.list("logs/"), stage.list("processes/")):
        lines = stage.read(stat.name).data.splitlines() if log_of(stat.name) else []
        if bad := sum(event_in(line) is None for line in lines):
            yield Finding(f"{name}/{stat.name}", f"{bad} of {len(lines)} lines cannot be read", lost=True)
    for stat in stage.list("failures/"):
        if failure_in(stage, stat.name) is None:
            yield Finding(f"{name}/{stat.name}", "cannot be read", lost=True)
