"""What an export yields: tables of rows, each table in parts that are made from whole shards of one split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.errors import Corrupt
from jobs.shards.records import Shard

_OUTSIDE = {"val": "validation"}  # splits that other tools know by another name

Dtype = Literal["string", "int64", "float32", "float64", "bool"]  # names that Arrow and Hugging Face share


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. A text is never null, but empty where there is none: then its type is seen in every file."""

    name: str
    about: str
    dtype: Dtype = "string"
    many: bool = False  # whether a value is a list of these


VECTOR = Column("vector", "unit vector of 384 numbers", "float32", many=True)


@dataclass(frozen=True, slots=True)
class Image:
    """An encoded image; `field` is its format and the ending of its name."""

    field: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """A row; `values` are those of the table's columns, in their order."""

    key: str
    values: Mapping[str, Any]
    image: Image | None = None
    vector: bytes | None = None  # a .npy file
    origins: tuple[tuple[str, str], ...] = ()  # (source, licence) of all that the row holds

    @property
    def the_image(self) -> Image:
        """The image, in a table of images; raises Corrupt where there is none."""
        if self.image is None:
            raise Corrupt(f"sample {self.key} has no image")
        return self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its shards in their order, each with its split, and how a shard is read."""

    name: str  # the folder of its files
    columns: tuple[Column, ...]
    shards: tuple[tuple[str, Shard], ...]
    read: Callable[[str, Shard], Iterator[Row]]
    images: bool = False  # whether its rows have images
    vectors: bool = True  # whether its rows can have vectors

    @property
    def has_vectors(self) -> bool:
        """Whether its rows are to be written with vectors."""
        return VECTOR in self.columns

    def parts(self, part_bytes: int) -> list[Part]:
        """Its shards in parts: of each split consecutive ones, up to so many bytes, but at least one."""
        groups: dict[str, list[list[Shard]]] = {}
        for split, shard in self.shards:
            if shard.samples:
                parts = groups.setdefault(split, [[]])
                if parts[-1] and sum(one.size for one in parts[-1]) + shard.size > part_bytes:
                    parts.append([])
                parts[-1].append(shard)
        return [
            Part(self, split, f"{self.name}/{split}-{number:05d}-of-{len(parts):05d}", tuple(shards))
            for split, parts in groups.items()
            for number, shards in enumerate(parts)
        ]


@dataclass(frozen=True, slots=True)
class Part:
    """What is written, and found again, as a whole; `name` is that of its file, without the ending."""

    table: Table
    split: str
    name: str
    shards: tuple[Shard, ...]

    @property
    def samples(self) -> int:
        """Rows that it will have."""
        return sum(shard.samples for shard in self.shards)

    def rows(self) -> Iterator[Row]:
        """Its rows, shard after shard."""
        return (row for shard in self.shards for row in self.table.read(self.split, shard))


@dataclass(frozen=True, slots=True)
class Content:
    """What is exported: the digest of the stage's manifest, and its tables."""

    dataset: str
    tables: tuple[Table, ...]
    notes: Mapping[str, str] = field(default_factory=dict)  # what else the card says of it


def image_folder(split: str, shard: Shard) -> str:
    """Where images of a shard are as files: a folder for each split, and in it one named by the shard's number."""
    return f"{split}/{shard.name.rpartition('-')[2]}"


def split_name(split: str) -> str:
    """A split's name outside of the pipeline: Hugging Face knows `validation`, and no hyphens."""
    return _OUTSIDE.get(split, split.replace("-", "_"))
