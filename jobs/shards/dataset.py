"""A stage's dataset: read through its manifest and records, written by commits.

The store here is the stage's own: `<store>/<run>/<stage>`, in which names start with shards/ and commits/.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import Corrupt, NotFound
from jobs.shards.reads import reads_of_groups
from jobs.shards.records import (
    MANIFEST,
    CommitRecord,
    Manifest,
    Outcome,
    Shard,
    object_name,
    record_name,
    unit_of,
)
from jobs.shards.removal import ensure
from jobs.shards.store import Store, overwrite, spool, spooling, verified
from jobs.shards.tar import Members, Sample, cut, index_tar, write_tar


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a finished stage left: verified samples, found through its manifest."""

    store: Store
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.stage

    def shards(self, *groups: str) -> tuple[Shard, ...]:
        """The shards in the stage's order, only those of the named groups if any are named."""
        return tuple(shard for shard in self.manifest.shards if not groups or shard.group in groups)

    def reads(self, *groups: str) -> dict[str, str]:
        """What a unit that reads these groups (all if none is named) declares to have read: {label: digest}."""
        return reads_of_groups(self.name, groups, self.shards(*groups))

    def read(self, shard: Shard) -> Iterator[Sample]:
        """A shard's samples, after its size, digest, count and end keys were checked; raises Corrupt, NotFound."""
        return cut(*self._indexed(shard))

    def keys(self, shard: Shard) -> list[str]:
        """The keys of a shard's samples, after the same checks."""
        return list(self._indexed(shard)[1])

    def _indexed(self, shard: Shard) -> tuple[bytes, Members]:
        data = verified(self.store, shard.object, size=shard.size, sha256_=shard.sha256)
        members = index_tar(data, name=shard.object)
        keys = list(members)
        found = (len(keys), keys[0] if keys else None, keys[-1] if keys else None)
        recorded = (shard.samples, shard.first_key, shard.last_key)
        if found != recorded:
            raise Corrupt(f"{shard.object} holds (samples, first key, last key) {found}, its record says {recorded}")
        return data, members

    def samples(self, *groups: str) -> Iterator[Sample]:
        """All samples of the groups, shard after shard."""
        for shard in self.shards(*groups):
            yield from self.read(shard)


@dataclass(slots=True)
class Writer:
    """Collects what one unit writes: shards go up as they come, the record that makes them exist goes last."""

    store: Store
    shards: list[Shard] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)

    def add_shard(self, name: str, samples: Iterable[Sample], members: Members | None = None) -> Shard:
        """Write one shard from samples in ascending order of key; raises StoreError, StoreFull.

        `members`, if given, is filled with where every field's bytes are.
        """
        with spooling(), spool() as file:
            summary = write_tar(samples, file, members)
            object_ = object_name(name, summary.sha256)
            ensure(self.store, object_, file, size=summary.size, sha256_=summary.sha256)
        shard = Shard(name, object_, summary.size, summary.sha256, summary.samples, summary.first_key, summary.last_key)
        self.shards.append(shard)
        return shard

    def add_shards(self, group: str, samples: Sequence[Sample], *, size: int) -> None:
        """Write samples as shards `GROUP-00000`, `GROUP-00001`, … of `size` samples, each sorted by key."""
        for number, start in enumerate(range(0, len(samples), size)):
            self.add_shard(f"{group}-{number:05d}", sorted(samples[start : start + size], key=lambda one: one.key))


def commit(store: Store, record: CommitRecord) -> bool:
    """Make a unit's outcome the one that counts; False if another writer's already is.

    A record that cannot be read, or whose objects are gone or have another size, commits nothing and is replaced; any
    other stays, whatever this attempt computed.
    """
    outcome = record.outcome
    name, body = record_name(outcome.unit, outcome.fingerprint), record.encode()
    while not store.create(name, body):
        try:
            existing = store.read(name)
        except NotFound:  # deleted since
            continue
        there = _decoded(existing.data, outcome.unit, outcome.fingerprint)
        if there and not missing_objects(store, there.outcome):
            return False
        if store.replace(name, body, version=existing.version):
            return True
    return True


def restore_record(store: Store, outcome: Outcome) -> None:
    """Write the record of an outcome that a manifest names again, where none can be read that counts."""
    commit(store, CommitRecord(outcome, "restored from the manifest", 0.0, time.time(), {}))


def missing_objects(store: Store, outcome: Outcome, sizes: Mapping[str, int] | None = None) -> list[str]:
    """The objects of an outcome that are not there in the recorded size; `sizes` saves asking for each."""

    def size(name: str) -> int | None:
        if sizes is not None:
            return sizes.get(name)
        stat = store.stat(name)
        return None if stat is None else stat.size

    return [shard.object for shard in outcome.shards if size(shard.object) != shard.size]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a stage has committed so far, from two listings: record names with the Unix times of their last change where
    the listing has them, and objects with their sizes in bytes.
    """

    store: Store
    records: Mapping[str, float | None]
    sizes: Mapping[str, int]
    by_unit: Mapping[str, Sequence[str]] = field(default_factory=dict)  # names of its records

    @classmethod
    def of(cls, store: Store) -> Committed:
        records = {stat.name: stat.modified for stat in store.list("commits/")}
        by_unit: dict[str, list[str]] = defaultdict(list)
        for name in records:
            by_unit[unit_of(name)].append(name)
        return cls(store, records, {stat.name: stat.size for stat in store.list("shards/")}, by_unit)

    def record(self, unit: str, fingerprint: str) -> CommitRecord | None:
        """The record of a unit with that fingerprint if there is a readable one."""
        return read_record(self.store, unit, fingerprint) if record_name(unit, fingerprint) in self.records else None

    def others(self, unit: str) -> list[CommitRecord]:
        """The unit's readable records with whatever fingerprint, the newest first."""
        found = [record for name in self.by_unit.get(unit, ()) if (record := _read(self.store, name, unit, None))]
        return sorted(found, key=lambda record: -record.finished)

    def missing(self, outcome: Outcome) -> list[str]:
        """The objects of an outcome that are not there in the recorded size."""
        return missing_objects(self.store, outcome, self.sizes)


def read_record(store: Store, unit: str, fingerprint: str) -> CommitRecord | None:
    """The record of a unit with that fingerprint; None where there is none that can be read and is that unit's."""
    return _read(store, record_name(unit, fingerprint), unit, fingerprint)


def read_record_named(store: Store, name: str) -> CommitRecord | None:
    """The record of that name; None where there is none that can be read and belongs there."""
    record = _read(store, name, unit_of(name), None)
    return record if record and record_name(unit_of(name), record.outcome.fingerprint) == name else None


def load_manifest(store: Store) -> Manifest | None:
    """A stage's manifest, or None where there is none; raises Corrupt."""
    try:
        return Manifest.decode(store.read(MANIFEST).data, f"{store.url}/{MANIFEST}")
    except NotFound:
        return None


def publish_manifest(store: Store, manifest: Manifest) -> None:
    """Make a dataset's manifest this one; a second controller publishing the same changes nothing."""
    overwrite(store, MANIFEST, manifest.encode())


def _read(store: Store, name: str, unit: str, fingerprint: str | None) -> CommitRecord | None:
    try:
        return _decoded(store.read(name).data, unit, fingerprint)
    except NotFound:
        return None


def _decoded(data: bytes, unit: str, fingerprint: str | None) -> CommitRecord | None:
    """The record if it can be read and is that unit's, with that fingerprint if one is given."""
    try:
        record = CommitRecord.decode(data)
    except Corrupt:
        return None
    outcome = record.outcome
    return record if outcome.unit == unit and fingerprint in (None, outcome.fingerprint) else None
