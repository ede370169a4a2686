"""What a format is; each is a module of `formats/`, whose FORMAT is one of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobs.export.draft import Draft
from jobs.export.rows import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the rows of a part become files."""

    write: Callable[[Part, Draft], None]
    pattern: str = "{table}/{split}-*"  # the files of a split, for the card
    part_bytes: int = 256 << 20  # of shards that go into one part; 0 for one shard
    lists: bool = True  # whether a value may be a list; else it is the JSON of one
    images: bool = False  # whether it holds them, where a table has any
    only_images: bool = False
    typed: bool = True  # whether a file says the types of its columns, or shows them; else the card says them
