"""A contract as it is written: groups of shards take objects of the declared model and bytes for the other fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from jobs.shards.dataset import Writer
from jobs.shards.records import Shard
from jobs.shards.strict_json import JsonModel
from jobs.shards.tar import Members, Sample

M = TypeVar("M", bound=JsonModel)


class WriteGroup(Generic[M]):
    """A group as it is written."""

    def __init__(self, writer: Writer, name: str) -> None:
        self._writer, self.name = writer, name

    def sample(self, key: str, value: M, **fields: bytes) -> Sample:
        """A sample of the group."""
        return Sample(key, {**fields, "json": value.encode()})

    def write_shard(self, name: str, samples: Iterable[Sample]) -> Shard:
        """Write the shard `GROUP-00042` from samples in ascending order of key; raises StoreError, StoreFull."""
        return self._writer.add_shard(name, samples)

    def write(self, samples: Sequence[Sample], *, size: int) -> None:
        """Write samples as shards of `size` samples, each sorted by key."""
        self._writer.add_shards(self.name, samples, size=size)


class WriteOne(Generic[M]):
    """A group of one sample as it is written."""

    def __init__(self, writer: Writer, name: str) -> None:
        self._writer, self.name = writer, name

    def write(self, value: M, **fields: bytes) -> None:
        """Write the sample; raises StoreError, StoreFull."""
        self._writer.add_shard(self.name, [Sample(self.name, {**fields, "json": value.encode()})])


class WriteSplits(Generic[M]):
    """All groups that are not declared by their names, as they are written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def sample(self, key: str, value: M, **fields: bytes) -> Sample:
        """A sample of such a group."""
        return Sample(key, {**fields, "json": value.encode()})

    def write_shard(self, name: str, samples: Iterable[Sample], members: Members | None = None) -> Shard:
        """Write the shard of that name from samples in ascending order of key; raises StoreError, StoreFull.

        `members`, if given, is filled with where every field's bytes are.
        """
        return self._writer.add_shard(name, samples, members)

    def write(self, split: str, samples: Sequence[Sample], *, size: int) -> None:
        """Write a split's samples as shards of `size` samples, each sorted by key."""
        self._writer.add_shards(split, samples, size=size)


class WriteFile:
    """A file as it is written."""

    def __init__(self, writer: Writer, name: str, field: str) -> None:
        self._writer, self._name, self._field = writer, name, field

    def write(self, content: bytes) -> None:
        """Write the bytes; raises StoreError, StoreFull."""
        self._writer.add_shard(self._name, [Sample(self._name, {self._field: content})])


class WriteStats(Generic[M]):
    """The counts of a unit as they are written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, value: M) -> None:
        """Put the counts into the unit's commit record."""
        self._writer.stats.update(value.model_dump(mode="json", exclude_unset=True))
