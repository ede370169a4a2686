"""Protocols that are wrong in one place. Each must be found: a simulation that finds nothing could be blind.

A mutant changes the project's code or the servers' promises, and says which kind of schedule shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import jobs.runtime.task
from jobs.runtime import former_shards
from jobs.runtime.earlier import Earlier
from jobs.runtime.former_shards import Former
from jobs.runtime.spec import StageSpec
from jobs.shards import dataset, removal
from jobs.shards.dataset import Committed, load_manifest
from jobs.shards.digests import digest_of
from jobs.shards.records import MANIFEST, CommitRecord, Manifest, record_name
from jobs.shards.store import Store, overwrite
from jobs.shards.tar import Sample, read_tar
from pipeline.control import controller
from pipeline.maintenance import garbage
from pipeline.maintenance.garbage import Ages
from pipeline.planning.plan import StagePlan, _Stage
from pipeline.scheduled import batches, claims
from pipeline.scheduled.claims import Claim
from tests.simulation import scenario
from tests.simulation.cluster import Rules as ClusterRules
from tests.simulation.invariants import TAKEN
from tests.simulation.s3 import Rules
from tests.simulation.scenario import Plan

Patches = Callable[[], AbstractContextManager[Any]]

_ANY = Plan()


@dataclass(frozen=True)
class Mutant:
    """One wrong protocol."""

    name: str
    change: Patches = nullcontext
    plan: Plan = _ANY
    firings: bool = False  # shown by inference on cron, else by a run
    breaks: str = ""  # the invariant that must show it, where any other does not do
    first: int = 0  # the seed to begin with, where it takes long to come to one that shows it


def _swap(target: Any, name: str, value: Any) -> Patches:
    return lambda: patch.object(target, name, value)


def _believes_the_manifest(self: _Stage, unit: str, fingerprint: str, known: Any) -> Any:
    """As it was: wherever a record's name exists, the manifest's word counts."""
    if known is not None and record_name(unit, fingerprint) in self.committed.records:
        return known, False
    record = self.committed.record(unit, fingerprint)
    return (record.outcome if record else None), False


def _commit_whatever_is_there(store: Store, record: CommitRecord) -> bool:
    overwrite(store, record_name(record.outcome.unit, record.outcome.fingerprint), record.encode())
    return True


def _manifest_before_record(store: Store, record: CommitRecord) -> bool:
    known = load_manifest(store)
    others = [one for one in (known.outcomes if known else ()) if one.unit != record.outcome.unit]
    stage = store.url.rpartition("/")[2]
    overwrite(store, MANIFEST, Manifest(stage, (*others, record.outcome)).encode())
    return dataset.commit(store, record)


def _data_waits() -> AbstractContextManager[Any]:
    """The record goes up first, the data follows it."""
    waiting: dict[tuple[str, str], bytes] = {}

    def ensure(store: Store, name: str, body: Any, *, size: int, sha256_: str) -> None:
        body.seek(0)
        waiting[store.url, name] = body.read()

    def commit(store: Store, record: CommitRecord) -> bool:
        won = dataset.commit(store, record)
        for shard in record.outcome.shards:
            body = waiting[store.url, shard.object]
            removal.ensure(store, shard.object, body, size=shard.size, sha256_=shard.sha256)
        return won

    return _several(_swap(dataset, "ensure", ensure), _swap(jobs.runtime.task, "commit", commit))()


def _unverified(store: Store, name: str, *, size: int, sha256_: str) -> bytes:
    return store.read(name).data


def _fingerprint_without_inputs(self: StageSpec, unit: Any) -> str:
    return digest_of([self.name, unit.name, unit.settings])


@contextmanager
def _announces_nothing(store: Store, names: Any) -> Iterator[float]:
    yield removal.time.time()  # type: ignore[attr-defined]  # the simulated one


def _claims_with_gaps(store: Store, claim: Claim) -> bool:
    return claims.create_claim(store, replace(claim, number=claim.number + 1))


def _takes_no_note_of_others(store: Store, number: int) -> Claim:
    found = claims.read_claim(store, number)
    return replace(found, names=())


def _several(*swaps: Patches) -> Patches:
    @contextmanager
    def change() -> Iterator[None]:
        with ExitStack() as stack:
            for one in swaps:
                stack.enter_context(one())
            yield

    return change


def _samples_unverified(self: Former) -> Iterator[Sample]:
    return read_tar(self.folders.stage.read(self.shard.object).data)


def _of_any_recipe(self: Earlier, unit: Any) -> list[Former]:
    return former_shards.formers(self.spec, self.runs)


_LOSES_NODES = ClusterRules(node_lost_once_in=20)
_RETURNS = Plan(past="yx", returns=True, damages=())
_HALF_DONE = Plan(past="x", past_calls=(60, 90, 120, 160, 200), damages=("record",), most_damages=6)

_CUT_OTHERWISE = Plan(past="x", damages=("flip",), most_damages=6, returns=False)

MUTANTS = (
    Mutant(
        "a server ignores If-None-Match",
        plan=Plan(rules=Rules(if_none_match=False), reproducible=False, cluster=_LOSES_NODES),
    ),
    Mutant("a server ignores If-None-Match under claims", plan=Plan(rules=Rules(if_none_match=False)), firings=True),
    Mutant(
        "a server ignores If-Match",
        plan=replace(
            _HALF_DONE, rules=Rules(if_match=False), damages=("garbage",), reproducible=False, cluster=_LOSES_NODES
        ),
    ),
    Mutant("a listing is a minute old", plan=Plan(rules=Rules(lists_deleted_seconds=60.0))),
    Mutant(
        "the manifest is believed wherever a record's name exists (found 1)",
        _swap(_Stage, "outcome", _believes_the_manifest),
        Plan(damages=("delete",), reproducible=False),
    ),
    Mutant(
        "a record that cannot be read stays as it is (found 2)",
        _swap(StagePlan, "lost_records", ()),
        Plan(damages=("garbage",)),
    ),
    Mutant(
        "a record replaces whatever is there",
        _swap(jobs.runtime.task, "commit", _commit_whatever_is_there),
        Plan(reproducible=False),
    ),
    Mutant("the manifest goes before the record", _swap(jobs.runtime.task, "commit", _manifest_before_record)),
    Mutant("the record goes before the data", _data_waits),
    Mutant("nobody looks whether a record's objects are there", _swap(dataset, "missing_objects", lambda *_: [])),
    Mutant(
        "the plan does not look whether objects are there",
        _swap(Committed, "missing", lambda *_: []),
        Plan(damages=("delete",)),
    ),
    Mutant("readers do not compare digests", _swap(dataset, "verified", _unverified), Plan(damages=("flip",))),
    Mutant(
        "a fingerprint leaves out what was read",
        _swap(StageSpec, "fingerprint", _fingerprint_without_inputs),
        Plan(damages=("delete",), reproducible=False),
    ),
    Mutant(
        "garbage is collected without grace",
        _swap(garbage, "LEAST_AGE_SECONDS", 0.0),
        replace(_RETURNS, ages=Ages(unreached=0.0)),
    ),
    Mutant("garbage is removed unannounced", _several(_swap(garbage, "announcing", _announces_nothing)), _RETURNS),
    Mutant(
        "nobody looks for announcements",
        _several(
            _swap(removal, "refuse_announced", lambda *_: None),
            _swap(controller, "refuse_announced", lambda *_: None),
        ),
        _RETURNS,
    ),
    Mutant(
        "garbage is collected whoever runs another configuration",
        _swap(scenario, "live_configs", lambda *_, **__: iter(())),
        _RETURNS,
    ),
    Mutant(
        "an object that is found again is not renewed",
        _swap(removal, "RENEWED_SECONDS", float("inf")),
        replace(_HALF_DONE, damages=(), loses_records=True, reproducible=True, returns=False),
        first=450,
    ),
    Mutant(
        "what is taken over is not verified",
        _swap(Former, "samples", _samples_unverified),
        _CUT_OTHERWISE,
        breaks=TAKEN,
    ),
    Mutant(
        "samples of another recipe are taken over",
        _swap(Earlier, "_of_recipe", _of_any_recipe),
        Plan(past="y", damages=()),
        breaks=TAKEN,
    ),
    Mutant("claims leave gaps", _swap(batches, "create_claim", _claims_with_gaps), firings=True),
    Mutant(
        "a claim takes no note of one that came first",
        _swap(batches, "read_claim", _takes_no_note_of_others),
        firings=True,
    ),
    Mutant("a batch is done when it is begun", _swap(batches, "_is_done", lambda *_: True), firings=True),
)
