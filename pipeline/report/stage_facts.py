"""What each stage left: counts from its manifest, times and versions from its commit records. Reads no shard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from jobs.catalog import STAGES
from jobs.report import formatting
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import Dataset, load_manifest, read_record
from jobs.shards.reads import changed_inputs, stage_of
from jobs.shards.records import CommitRecord, Outcome
from jobs.shards.store import Store

_READERS = 16  # records read at once; on S3 each costs a round trip
_VALUES_SHOWN = 4  # distinct values of one setting that are written out

Datasets = Mapping[str, Dataset]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One parameter of a stage, with all values its units had."""

    name: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """The values in words; of many only the first and the last."""
        if len(self.values) > _VALUES_SHOWN:
            return f"{len(self.values):,} values, {self.values[0]} to {self.values[-1]}"
        return ", ".join(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts:
    """A stage as the report shows it. Everything but the first three is empty before the stage is done."""

    name: str
    about: str
    inputs: tuple[str, ...]
    done: bool = False
    outdated: tuple[str, ...] = ()  # inputs that changed since
    units: int = 0
    shards: int = 0
    samples: int = 0
    bytes: int = 0
    taken: int = 0  # samples taken over from what was made before, as far as records say
    seconds: float | None = None  # of the attempts that were committed, all units together
    finished: float | None = None  # Unix time of the last commit
    digest: str = ""
    settings: tuple[Setting, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()  # (library, version)


def published(store: Store) -> dict[str, Dataset]:
    """The datasets of all finished stages of a run."""
    found = {}
    for spec in STAGES:
        manifest = load_manifest(store.at(spec.name))
        if manifest is not None:
            found[spec.name] = Dataset(store.at(spec.name), manifest)
    return found


def stage_facts(spec: StageSpec, datasets: Datasets) -> StageFacts:
    """What is known of one stage; raises Corrupt for a record that cannot be read."""
    dataset = datasets.get(spec.name)
    if dataset is None:
        return StageFacts(name=spec.name, about=spec.about, inputs=spec.inputs)
    outcomes, shards = dataset.manifest.outcomes, dataset.shards()
    records = _records(dataset.store, outcomes)
    return StageFacts(
        name=spec.name,
        about=spec.about,
        inputs=spec.inputs,
        done=True,
        outdated=_outdated(spec, dataset, datasets),
        units=len(outcomes),
        shards=len(shards),
        samples=sum(shard.samples for shard in shards),
        bytes=sum(shard.size for shard in shards),
        taken=sum(record.taken for record in records),
        seconds=sum(record.seconds for record in records) if records else None,
        finished=max((record.finished for record in records), default=None),
        digest=dataset.manifest.digest,
        settings=settings_of(outcome.settings for outcome in outcomes),
        versions=tuple(sorted({pair for record in records for pair in record.versions.items()})),
    )


def _records(store: Store, outcomes: Sequence[Outcome]) -> list[CommitRecord]:
    def record(outcome: Outcome) -> CommitRecord | None:
        return read_record(store, outcome.unit, outcome.fingerprint)

    with ThreadPoolExecutor(_READERS) as pool:
        return [one for one in pool.map(record, outcomes) if one]


def _outdated(spec: StageSpec, dataset: Dataset, datasets: Datasets) -> tuple[str, ...]:
    """The inputs of which some unit read something else than is there now."""
    reads = {label: digest for outcome in dataset.manifest.outcomes for label, digest in outcome.reads.items()}
    there = {name: datasets[name].shards() for name in spec.inputs if name in datasets}
    gone = {stage_of(label) for label in reads} & (set(spec.inputs) - there.keys())
    changed = gone | set(changed_inputs(reads, there).values())
    return tuple(name for name in spec.inputs if name in changed)


def settings_of(settings: Iterable[Mapping[str, Any]]) -> tuple[Setting, ...]:
    """Every parameter, flattened to dotted names, with its distinct values."""
    found: dict[str, dict[str, None]] = {}
    for one in settings:
        for name, value in flat(one):
            found.setdefault(name, {})[formatting.setting(value)] = None
    return tuple(Setting(name=name, values=tuple(values)) for name, values in found.items())


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested settings by dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def seeds(stages: Sequence[StageFacts]) -> list[tuple[str, Setting]]:
    """Every seed that was set, with its stage."""
    return [(stage.name, one) for stage in stages for one in stage.settings if one.name.split(".")[-1].endswith("seed")]


def versions(stages: Sequence[StageFacts]) -> list[tuple[str, str, list[str]]]:
    """(library, version, stages that used it), Python first; a library may stand here with several versions."""
    used: dict[tuple[str, str], list[str]] = {}
    for stage in stages:
        for pair in stage.versions:
            used.setdefault(pair, []).append(stage.name)
    order = sorted(used, key=lambda pair: (pair[0] != "python", pair))
    return [(library, version, used[library, version]) for library, version in order]
