"""A contract as it is read: groups of shards give samples whose JSON is an object of the declared model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from jobs.errors import BadData
from jobs.shards.dataset import Dataset
from jobs.shards.digests import canonical_json
from jobs.shards.records import Outcome, Shard
from jobs.shards.strict_json import JsonModel
from jobs.shards.tar import Sample

M = TypeVar("M", bound=JsonModel)


@dataclass(frozen=True, slots=True)
class TypedSample(Generic[M]):
    """A sample whose JSON is of a known model."""

    raw: Sample
    model: type[M]

    @property
    def key(self) -> str:
        return self.raw.key

    @property
    def value(self) -> M:
        """The sample's JSON; raises Corrupt."""
        return self.model.decode(self.raw["json"], f"field 'json' of sample {self.raw.key}")

    def text(self) -> str:
        """The prompt; raises Corrupt."""
        return self.raw.text()

    def __getitem__(self, field: str) -> bytes:
        return self.raw[field]

    def __contains__(self, field: str) -> bool:
        return field in self.raw.fields


class ReadGroup(Generic[M]):
    """A group as it is read."""

    def __init__(self, dataset: Dataset, model: type[M], name: str) -> None:
        self.dataset, self.model, self.name = dataset, model, name

    @property
    def stage(self) -> str:
        return self.dataset.name

    def shards(self) -> tuple[Shard, ...]:
        """The group's shards, in the stage's order."""
        return self.dataset.shards(self.name)

    @property
    def num_samples(self) -> int:
        """Samples of all shards, without reading one."""
        return sum(shard.samples for shard in self.shards())

    def reads(self) -> dict[str, str]:
        """What a unit reads that reads all of the group."""
        return self.dataset.reads(self.name)

    def read(self, shard: Shard) -> Iterator[TypedSample[M]]:
        """A shard's verified samples; raises Corrupt, NotFound."""
        return (TypedSample(sample, self.model) for sample in self.dataset.read(shard))

    def samples(self) -> Iterator[TypedSample[M]]:
        """All samples, shard after shard."""
        return (sample for shard in self.shards() for sample in self.read(shard))

    def holding(self, key: str) -> tuple[Shard, ...]:
        """The shards whose range of keys has this one; at most one of a split, whose ranges do not overlap."""
        return tuple(shard for shard in self.shards() if shard.may_hold(key))

    def locate(self, key: str) -> tuple[Shard, TypedSample[M]] | None:
        """The sample of that key and the shard that it is in, reading only shards whose range of keys has it."""
        return next(((shard, one) for shard in self.holding(key) for one in self.read(shard) if one.key == key), None)

    def find(self, keys: Collection[str]) -> dict[str, TypedSample[M]]:
        """The samples of these keys, as far as they are there, reading only shards whose range of keys has one."""
        found: dict[str, TypedSample[M]] = {}
        for shard in self.shards():
            if any(shard.may_hold(key) and key not in found for key in keys):
                found |= {sample.key: sample for sample in self.read(shard) if sample.key in keys}
        return found


class ReadOne(ReadGroup[M]):
    """A group of one sample as it is read."""

    def sample(self) -> TypedSample[M]:
        """The sample; raises BadData where there is none."""
        for sample in self.samples():
            return sample
        raise BadData(f"the dataset {self.stage} holds no {self.name}; run {self.stage} first")

    def value(self) -> M:
        """The sample's JSON; raises BadData where there is none, Corrupt."""
        return self.sample().value


class ReadSplits(Generic[M]):
    """All groups that are not declared by their names, as they are read; `has` says of a group whether it is one."""

    def __init__(self, dataset: Dataset, model: type[M], has: Callable[[str], bool]) -> None:
        self.dataset, self._model, self._has = dataset, model, has

    @property
    def stage(self) -> str:
        return self.dataset.name

    @property
    def names(self) -> list[str]:
        """The groups' names in the order of their first shards."""
        return list(dict.fromkeys(shard.group for shard in self.shards()))

    def __getitem__(self, split: str) -> ReadGroup[M]:
        return ReadGroup(self.dataset, self._model, split)

    def shards(self) -> tuple[Shard, ...]:
        """The shards of all these groups, in the stage's order."""
        return tuple(shard for shard in self.dataset.shards() if self._has(shard.group))

    def read(self, shard: Shard) -> Iterator[TypedSample[M]]:
        """A shard's verified samples; raises Corrupt, NotFound."""
        return (TypedSample(sample, self._model) for sample in self.dataset.read(shard))

    def samples(self) -> Iterator[TypedSample[M]]:
        """All samples, shard after shard."""
        return (sample for shard in self.shards() for sample in self.read(shard))


class ReadFile:
    """A file as it is read."""

    def __init__(self, dataset: Dataset, name: str, field: str) -> None:
        self.dataset, self._name, self._field = dataset, name, field

    def content(self) -> bytes:
        """The bytes; raises BadData where there are none."""
        for sample in self.dataset.samples(self._name):
            return sample[self._field]
        raise BadData(f"the dataset {self.dataset.name} holds no {self._name}; run {self.dataset.name} first")


class ReadStats(Generic[M]):
    """The counts of all units as they are read."""

    def __init__(self, dataset: Dataset, model: type[M]) -> None:
        self._dataset, self._model = dataset, model

    def by_outcome(self) -> list[tuple[Outcome, M]]:
        """The counts with the outcomes that they are of, in the stage's order; raises Corrupt."""
        return [(outcome, stats_of(self._model, outcome)) for outcome in self._dataset.manifest.outcomes]

    def values(self) -> list[M]:
        """The counts, in the stage's order; raises Corrupt."""
        return [value for _, value in self.by_outcome()]


def stats_of(model: type[M], outcome: Outcome) -> M:
    """The counts in a commit record; raises Corrupt."""
    return model.decode(canonical_json(outcome.stats), f"the counts of {outcome.unit}")
