"""Commit records and manifests: what makes a shard exist, as immutable JSON.

A record commits one unit of work, usually one shard, and is created only if absent. Its name carries the unit's
fingerprint, the digest of everything that shaped it, so a record is never out of date: changed parameters or inputs
ask for another record. The manifest, written last by the controller, lists the records that are a stage's dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from jobs.shards.digests import digest_of
from jobs.shards.strict_json import STRICT, Count, Digest, Json, Name, Seconds, seal, unseal

MANIFEST = "manifest.json"
NAME_DIGITS = 16  # of a digest, in object names; the whole digest stands in the record


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar: its name, the object that holds it, and what reading it must find. `size` is in bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: Name
    object: Annotated[str, Field(pattern=r"^shards/[^\x00-\x1f\x7f/]+\.tar$")]
    size: Count
    sha256: Digest
    samples: Count
    first_key: str | None
    last_key: str | None

    @property
    def group(self) -> str:
        """The name without its number: the source it came from, or its split (`train-00042` -> `train`)."""
        return self.name.rpartition("-")[0] or self.name

    def may_hold(self, key: str) -> bool:
        """Whether a key is in the range of its keys."""
        return bool(self.samples) and (self.first_key or "") <= key <= (self.last_key or "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a unit of work is and what came of it; equal work gives equal outcomes, byte for byte."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    unit: Name
    fingerprint: Digest
    version: Count  # of the stage's code, counted up when its output changes
    settings: Mapping[str, Json]  # the parameters that shaped it
    reads: Mapping[str, str]  # what it read -> digest
    shards: tuple[Shard, ...]
    stats: Mapping[str, Json] = field(default_factory=dict)  # counts worth keeping, e.g. rows read and dropped

    @property
    def names(self) -> frozenset[str]:
        """The objects that it stands on: its record and its shards."""
        record = record_name(self.unit, self.fingerprint)
        return frozenset([record, *(shard.object for shard in self.shards)])


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """An outcome with the circumstances it came about in, which equal work does not share."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    outcome: Outcome
    attempt: str
    seconds: Seconds
    finished: Seconds  # Unix time
    versions: Mapping[str, str]  # of Python and the libraries used
    taken: Count = 0  # samples of which what the stage adds was taken over from earlier shards

    def encode(self) -> bytes:
        values = _RECORD.dump_python(self)
        if not self.taken:  # as all records were before; an older release reads them
            del values["taken"]
        return seal(values)

    @classmethod
    def decode(cls, data: bytes, where: str = "it") -> CommitRecord:
        """Raises Corrupt naming `where` when the bytes are not a record."""
        return unseal(_RECORD, data, where, "a commit record")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A stage's dataset: the outcomes of all its units, in the stage's order; nothing of when, where or by whom."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    stage: Name
    outcomes: tuple[Outcome, ...]

    @property
    def digest(self) -> str:
        return digest_of(_MANIFEST.dump_python(self))

    @property
    def shards(self) -> tuple[Shard, ...]:
        return tuple(shard for outcome in self.outcomes for shard in outcome.shards)

    @property
    def names(self) -> frozenset[str]:
        """The objects that it stands on: records and shards."""
        return frozenset(name for outcome in self.outcomes for name in outcome.names)

    def encode(self) -> bytes:
        return seal(_MANIFEST.dump_python(self))

    @classmethod
    def decode(cls, data: bytes, where: str = "it") -> Manifest:
        """Raises Corrupt naming `where` when the bytes are not a manifest."""
        return unseal(_MANIFEST, data, where, "a manifest")


_RECORD, _MANIFEST = TypeAdapter(CommitRecord), TypeAdapter(Manifest)


def fingerprint(*, stage: str, version: int, unit: str, settings: Mapping[str, Any], reads: Mapping[str, str]) -> str:
    """The digest of everything that shapes a unit's outcome."""
    return digest_of({"stage": stage, "version": version, "unit": unit, "settings": settings, "reads": reads})


def record_name(unit: str, fingerprint: str) -> str:
    """Where the record of a unit with that fingerprint is, and nowhere else."""
    return f"commits/{unit}-{fingerprint[:NAME_DIGITS]}.json"


def unit_of(record: str) -> str:
    """The unit whose record has that name."""
    return record.removeprefix("commits/")[: -NAME_DIGITS - len("-.json")]


def object_name(shard: str, sha256: str) -> str:
    """Where a shard with that content is."""
    return f"shards/{shard}-{sha256[:NAME_DIGITS]}.tar"
