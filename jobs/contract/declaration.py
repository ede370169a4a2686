"""What a stage leaves, as types: groups of shards, the fields of their samples, and the model of each sample's JSON.

A contract is declared once, in a stage's `contract.py`, and bound twice: to a `Dataset` it reads, to a `Writer` it
writes. A member that is renamed where it is written then fails the type check wherever it is read.

    class Evaluated(Contract[Access], stage="evaluate"):
        metrics = One(Metrics)
        scores = Many(Score)

    Evaluated(dataset).metrics.value().score        Evaluated(writer).metrics.write(Metrics(score=0.9, ...))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, get_origin, get_type_hints, overload

from jobs.contract.reading import ReadFile, ReadGroup, ReadOne, ReadSplits, ReadStats, TypedSample, stats_of
from jobs.contract.writing import WriteFile, WriteGroup, WriteOne, WriteSplits, WriteStats
from jobs.errors import Corrupt
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.keys import key_of
from jobs.shards.records import Outcome, Shard
from jobs.shards.strict_json import JsonModel
from jobs.shards.tar import Sample

M = TypeVar("M", bound=JsonModel)
Access = TypeVar("Access", Dataset, Writer)

Key = Literal["prompt", "any"]  # whether a sample's key must be that of the prompt in its `txt`


class Group(Generic[M]):
    """A declared group of shards: `json` and further fields, of which `one_of` are alternatives to each other."""

    def __init__(
        self,
        model: type[M],
        *fields: str,
        one_of: Sequence[str] = (),
        optional: Sequence[str] = (),
        key: Key = "any",
    ) -> None:
        self.model, self.fields = model, frozenset({"json", *fields})
        self.one_of, self.optional, self.key = frozenset(one_of), frozenset(optional), key
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def check(self, sample: Sample) -> None:
        """Raise Corrupt unless the sample is as declared."""
        found = set(sample.fields)
        alternatives = found & self.one_of
        if not self.fields <= found or found - self.fields - self.one_of - self.optional:
            wanted = sorted(self.fields | {"|".join(sorted(self.one_of))} - {""})
            raise Corrupt(f"sample {sample.key} has the fields {sorted(found)}, its group {self.name} has {wanted}")
        if self.one_of and len(alternatives) != 1:
            raise Corrupt(f"sample {sample.key} must have one of {sorted(self.one_of)}, it has {sorted(alternatives)}")
        TypedSample(sample, self.model).value  # noqa: B018 - decoding is the check
        text = sample.text() if "txt" in found else None
        if self.key == "prompt" and (text is None or key_of(text) != sample.key):
            raise Corrupt(f"the key {sample.key} is not that of its prompt {text!r}")


class One(Group[M]):
    """A group of one shard with one sample, both named as the group."""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract[Dataset], owner: type) -> ReadOne[M]: ...
    @overload
    def __get__(self, instance: Contract[Writer], owner: type) -> WriteOne[M]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if isinstance(instance.data, Dataset):
            return ReadOne(instance.data, self.model, self.name)
        return WriteOne[M](instance.data, self.name)


class Many(Group[M]):
    """A group of any number of shards `GROUP-00000`, `GROUP-00001`, …"""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract[Dataset], owner: type) -> ReadGroup[M]: ...
    @overload
    def __get__(self, instance: Contract[Writer], owner: type) -> WriteGroup[M]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if isinstance(instance.data, Dataset):
            return ReadGroup(instance.data, self.model, self.name)
        return WriteGroup[M](instance.data, self.name)


class Splits(Group[M]):
    """All groups of the dataset that are not declared otherwise: splits, or sources."""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract[Dataset], owner: type) -> ReadSplits[M]: ...
    @overload
    def __get__(self, instance: Contract[Writer], owner: type) -> WriteSplits[M]: ...

    def __get__(self, instance: Any, owner: type[Contract[Any]]) -> Any:
        if instance is None:
            return self
        if isinstance(instance.data, Dataset):
            return ReadSplits(instance.data, self.model, lambda group: owner.declaration(group) is self)
        return WriteSplits[M](instance.data)


class Attached(Splits[M]):
    """Beside each group of the splits one `SPLIT.NAME`, for what several of its samples may have in common."""

    def group_of(self, split: str) -> str:
        """The name of the group beside that of a split."""
        return f"{split}.{self.name}"


class File:
    """One shard with one sample of one field, no JSON; `export` is the file of a run that people find it as."""

    def __init__(self, field: str, *, export: str = "") -> None:
        self.field, self.export = field, export
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def check(self, sample: Sample) -> None:
        """Raise Corrupt unless the sample is as declared."""
        if set(sample.fields) != {self.field}:
            raise Corrupt(f"sample {sample.key} has the fields {sorted(sample.fields)}, required is {self.field}")

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract[Dataset], owner: type) -> ReadFile: ...
    @overload
    def __get__(self, instance: Contract[Writer], owner: type) -> WriteFile: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if isinstance(instance.data, Dataset):
            return ReadFile(instance.data, self.name, self.field)
        return WriteFile(instance.data, self.name, self.field)


class Stats(Generic[M]):
    """The counts of every unit, which stand in its commit record."""

    def __init__(self, model: type[M]) -> None:
        self.model = model

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract[Dataset], owner: type) -> ReadStats[M]: ...
    @overload
    def __get__(self, instance: Contract[Writer], owner: type) -> WriteStats[M]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if isinstance(instance.data, Dataset):
            return ReadStats(instance.data, self.model)
        return WriteStats[M](instance.data)

    def check(self, outcome: Outcome) -> None:
        """Raise Corrupt unless the outcome's counts are as declared."""
        stats_of(self.model, outcome)


class Contract(Generic[Access]):
    """What a stage leaves; bound to what it is read from or written to."""

    stage: ClassVar[str]

    def __init_subclass__(cls, *, stage: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.stage = stage or getattr(cls, "stage", "")

    data: Access

    def __init__(self, data: Access) -> None:
        self.data = data

    @classmethod
    def groups(cls) -> dict[str, One[Any] | Many[Any] | File]:
        """The groups that are declared by name."""
        return {name: one for name, one in vars(cls).items() if isinstance(one, One | Many | File)}

    @classmethod
    def declaration(cls, group: str) -> Group[Any] | File | None:
        """What is declared for the group of that name, if anything is."""
        for one in vars(cls).values():
            if isinstance(one, Attached) and group.endswith(one.group_of("")):
                return one
        splits = (one for one in vars(cls).values() if isinstance(one, Splits) and not isinstance(one, Attached))
        return cls.groups().get(group) or next(splits, None)

    @classmethod
    def stats_declared(cls) -> Stats[Any] | None:
        """What is declared for the counts of a unit."""
        return next((one for one in vars(cls).values() if isinstance(one, Stats)), None)

    @classmethod
    def declared(cls, shard: Shard) -> Group[Any] | File:
        """What is declared for a shard; raises Corrupt when nothing is."""
        found = cls.declaration(shard.group)
        if found is None:
            raise Corrupt(f"{cls.stage}: {shard.name} is of the group {shard.group}, which it does not declare")
        return found

    def shards(self: Contract[Dataset]) -> tuple[Shard, ...]:
        """All shards, in the stage's order."""
        return self.data.shards()

    def reads(self: Contract[Dataset]) -> dict[str, str]:
        """What a unit reads that reads all of it."""
        return self.data.reads()


class Inputs:
    """The datasets that a stage reads: annotate each with its contract, `images: Images[Dataset]`."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        """Bind each contract to its stage's dataset, found by its name among these."""
        by_stage = {dataset.name: dataset for dataset in datasets}
        for name, contract in self.contracts().items():
            setattr(self, name, contract(by_stage[contract.stage]))

    @classmethod
    def contracts(cls) -> dict[str, type[Contract[Any]]]:
        """The contract of each input, in the order in which they are annotated."""
        return {name: get_origin(hint) or hint for name, hint in get_type_hints(cls).items()}

    @classmethod
    def stages(cls) -> tuple[str, ...]:
        """The stages that are read."""
        return tuple(contract.stage for contract in cls.contracts().values())

    def __iter__(self) -> Iterator[Contract[Dataset]]:
        return (getattr(self, name) for name in self.contracts())
