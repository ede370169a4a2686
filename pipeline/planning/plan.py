"""The plan: for every stage and unit whether it is run, skipped or redone, and why. Pure but for reading the store.

Nothing is decided by modification times: a unit is done when there is a record with the fingerprint that its
parameters and inputs have now, and the objects it names are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jobs.errors import BadConfiguration, Corrupt
from jobs.runtime.spec import StageSpec, Unit
from jobs.shards.dataset import Committed, Dataset, load_manifest
from jobs.shards.reads import stage_of
from jobs.shards.records import MANIFEST, Manifest, Outcome, record_name
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig

Action = Literal["run", "skip", "redo"]

_TO_BE_MADE = "to be made: "  # in the place of the digest of a shard that this plan makes


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What happens to one unit, and why; `outcome` is the committed one, where it still counts."""

    unit: str
    action: Action
    reason: str
    outcome: Outcome | None = None
    fingerprint: str = ""
    lost_record: bool = False  # its record cannot be read, and the manifest and its objects say what stood in it


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What happens to one stage. `units` is None where they are not known before an earlier stage is done."""

    spec: StageSpec
    units: tuple[UnitPlan, ...] | None
    ready: bool  # all inputs are published and up to date
    published: Manifest | None  # the manifest that stands in the store, up to date or not
    waits_for: str = ""  # why the units are not known
    inputs: Mapping[str, str] = field(default_factory=dict)  # digests of what it reads, by stage, as far as published

    @property
    def manifest(self) -> Manifest | None:
        """The manifest of the finished stage; None while something is to be made."""
        if not self.ready or self.units is None or any(unit.outcome is None for unit in self.units):
            return None
        return Manifest(self.spec.name, tuple(unit.outcome for unit in self.units if unit.outcome))

    @property
    def done(self) -> bool:
        """Whether everything is made and published."""
        return self.manifest is not None and self.manifest == self.published

    @property
    def pending(self) -> int:
        """How many units are to be made."""
        return sum(unit.action != "skip" for unit in self.units or ())

    @property
    def names(self) -> set[str]:
        """The objects that the plan counts on: records and shards."""
        outcomes = [unit.outcome for unit in self.units or () if unit.outcome]
        return {name for outcome in outcomes for name in outcome.names}

    @property
    def lost_records(self) -> tuple[Outcome, ...]:
        """The outcomes whose records are to be written again, as the manifest has them."""
        return tuple(unit.outcome for unit in self.units or () if unit.lost_record and unit.outcome)


def make_plan(store: Store, config: RunConfig, *, repair: bool = False) -> list[StagePlan]:
    """The plan for every stage of the run, from what the store has now. `store` is the run's (`open_run`).

    To `repair`, every record is read, whatever the manifest says, and one that is gone is lost rather than a request to
    make its unit again. Raises BadConfiguration when a dataset that is taken from another run is not finished there.
    """
    plans: list[StagePlan] = []
    expected: dict[str, Dataset | None] = {}  # as they will be, made-up digests where something is to be made
    published: dict[str, Manifest | None] = {}
    done: set[str] = set()
    made = {spec.name for spec in config.specs}
    for name in sorted({name for spec in config.specs for name in spec.inputs} - made):
        taken = _taken(store.at(name), name, config)
        expected[name], published[name] = taken, taken.manifest
        done.add(name)
    for spec in config.specs:
        inputs = [expected[name] for name in spec.inputs]
        ready = all(name in done for name in spec.inputs)
        published[spec.name], since = _published(store.at(spec.name))
        digests = {name: manifest.digest for name in spec.inputs if (manifest := published[name])}
        if any(dataset is None for dataset in inputs):
            waits_for = next(name for name in spec.inputs if expected[name] is None)
            plan = StagePlan(spec, None, False, published[spec.name], f"not known before {waits_for} is done", digests)
            expected[spec.name] = None
        else:
            units = spec.units_of(config.params(spec), [dataset for dataset in inputs if dataset])
            unmade = {plan.spec.name for plan in plans if plan.pending}
            stage = _Stage(Committed.of(store.at(spec.name)), published[spec.name], since, repair)
            planned = _plan_units(stage, spec, units, unmade)
            plan = StagePlan(spec, planned, ready, published[spec.name], inputs=digests)
            expected[spec.name] = _expected(store.at(spec.name), plan, units)
        if plan.done:
            done.add(spec.name)
        plans.append(plan)
    return plans


def _published(store: Store) -> tuple[Manifest | None, float | None]:
    """A stage's manifest and the Unix time of its publication; none where it cannot be read: it is written anew."""
    stat = store.stat(MANIFEST)  # before it is read, so that what changes in between is read again
    try:
        return load_manifest(store), stat.modified if stat else None
    except Corrupt:
        return None, None


def _taken(store: Store, stage: str, config: RunConfig) -> Dataset:
    if manifest := load_manifest(store):
        return Dataset(store, manifest)
    raise BadConfiguration(
        f"inputs: the run {config.origin(stage)} has no finished {stage} in {config.store}; finish it there, or take "
        "it from a run that has one"
    )


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the store has of one stage: its records, its manifest, and the Unix time when that was published."""

    committed: Committed
    published: Manifest | None
    since: float | None
    repair: bool

    def outcome(self, unit: str, fingerprint: str, known: Outcome | None) -> tuple[Outcome | None, bool]:
        """What counts as the unit's outcome, None while it has none, and whether its record is lost.

        The record says. The word of the manifest, which has saved a request for each unit, is taken only while the
        record is there and older than the manifest, and the objects that the manifest names are there too; and where
        the record cannot be read.
        """
        name = record_name(unit, fingerprint)
        there = name in self.committed.records
        if not there and not self.repair:
            return None, False
        known_is_whole = known is not None and not self.committed.missing(known)
        if known_is_whole and there and not self.repair and self._is_older(self.committed.records[name]):
            return known, False
        if record := self.committed.record(unit, fingerprint):
            return record.outcome, False
        return (known if there or known_is_whole else None), known_is_whole

    def _is_older(self, modified: float | None) -> bool:
        return self.since is not None and modified is not None and modified < self.since


def _plan_units(stage: _Stage, spec: StageSpec, units: Sequence[Unit], unmade: Set[str]) -> tuple[UnitPlan, ...]:
    outcomes = stage.published.outcomes if stage.published else ()
    known = {(outcome.unit, outcome.fingerprint): outcome for outcome in outcomes}
    former = {outcome.unit: outcome for outcome in outcomes}
    plans = []
    for unit in units:
        fingerprint = spec.fingerprint(unit)
        outcome, lost = stage.outcome(unit.name, fingerprint, known.get((unit.name, fingerprint)))
        if outcome is None:
            others = stage.committed.others(unit.name)
            before = former.get(unit.name) or next((one.outcome for one in others), None)
            plans.append(_to_do(spec, unit, before, unmade))
        elif missing := stage.committed.missing(outcome):
            reason = f"{missing[0]} is missing or has another size"
            plans.append(UnitPlan(unit.name, "redo", reason, fingerprint=fingerprint))
        else:
            reason = "made with these parameters and inputs"
            plans.append(UnitPlan(unit.name, "skip", reason, outcome, fingerprint, lost))
    return tuple(plans)


def _to_do(spec: StageSpec, unit: Unit, before: Outcome | None, unmade: Set[str]) -> UnitPlan:
    fingerprint = spec.fingerprint(unit)
    if before is None:
        return UnitPlan(unit.name, "run", "not made yet", fingerprint=fingerprint)
    changes = why_changed(before, unit, spec.version, unmade)
    reason = "; ".join(changes) or "its record is gone or cannot be read"
    return UnitPlan(unit.name, "redo", reason, fingerprint=fingerprint)


def why_changed(before: Outcome, unit: Unit, version: int, unmade: Set[str] = frozenset()) -> list[str]:
    """In words, what of a unit is not what it was when `before` was made; `unmade` are stages still to be worked on."""
    changes = [f"{name} {old!r} -> {new!r}" for name, old, new in _differences(before.settings, unit.settings)]
    for name, old, new in _differences(before.reads, unit.reads):
        if old is None:
            changes.append(f"reads {name} now")
        elif new is None:
            changes.append(f"does not read {name} any more")
        else:
            made_anew = stage_of(name) in unmade
            changes.append(f"its input {name} {'is to be made anew' if made_anew else 'changed'}")
    if before.version != version:
        changes.append(f"the stage's code changed (version {before.version} -> {version})")
    return changes


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _expected(store: Store, plan: StagePlan, units: Sequence[Unit]) -> Dataset | None:
    """The dataset as it will be, as far as names go; None where not even those are known before it is made."""
    former = {outcome.unit: outcome for outcome in plan.published.outcomes} if plan.published else {}
    outcomes = []
    for unit, planned in zip(units, plan.units or (), strict=True):
        outcome = planned.outcome
        if outcome is None and (before := former.get(unit.name)):
            fingerprint = plan.spec.fingerprint(unit)
            shards = tuple(replace(shard, sha256=f"{_TO_BE_MADE}{fingerprint}") for shard in before.shards)
            outcome = replace(before, fingerprint=fingerprint, shards=shards)
        if outcome is None:
            return None
        outcomes.append(outcome)
    return Dataset(store, Manifest(plan.spec.name, tuple(outcomes)))
