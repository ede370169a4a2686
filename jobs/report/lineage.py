"""What stages say of one prompt or image: where it came from, and what became of it.

A stage's part is found through manifests and ranges of keys, so it takes a bounded number of requests to the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.report.page import RunView
from jobs.runtime.prefetch import prefetch
from jobs.shards.records import Shard
from jobs.shards.strict_json import JsonModel

_READERS = 8  # shards that are read at once where a key may be in any of many

M = TypeVar("M", bound=JsonModel)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image of this machine: its file's path, and the SHA-256 of its bytes."""

    path: Path
    sha256: str

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix."""
        return self.path.stem

    @property
    def names(self) -> list[str]:
        """What it is called from any of its folders: c.png, b/c.png, a/b/c.png."""
        parts = self.path.absolute().parts[1:]
        return ["/".join(parts[start:]) for start in reversed(range(len(parts)))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The prompt or image that is traced; of an image that only was predicted no prompt is known."""

    key: str
    prompt: str | None = None
    origin: Origin | None = None
    split: str | None = None  # of a prompt that was kept
    dimension: int | None = None  # of the one row of predictions that was asked for
    image: ImageFile | None = None  # by which it was asked for

    def values(self) -> dict[str, Any]:
        """What is said of it before the stages, as JSON values."""
        return {"key": self.key, "prompt": self.prompt, "split": self.split}


Values = Mapping[str, Any]
"""A stage's part, as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a stage knows of prompts and images. Its functions are called only once the stage is done."""

    part: Callable[[RunView, Subject], Values | None]
    """What it has to do with a subject; None where it is nothing."""

    by_key: Callable[[RunView, str], Subject | None] | None = None
    """The subject of that key, if it is the stage's to know."""

    by_name: Callable[[RunView, str], str | None] | None = None
    """The key of an image that has this name in what the stage writes."""

    by_image: Callable[[RunView, ImageFile], str | None] | None = None
    """The key that an image of this machine may have."""

    image_is: str = ""
    """What an image is that `by_image` knows, for the error where none does."""


class _Readable(Protocol[M]):
    def read(self, shard: Shard) -> Iterator[TypedSample[M]]: ...


def first_sample(
    group: _Readable[M], shards: Iterable[Shard], wanted: Callable[[TypedSample[M]], bool]
) -> TypedSample[M] | None:
    """The first sample that is wanted, for what no range of keys leads to: a request for each shard up to its own, and
    for a few after it, because several are read at once.
    """

    def found(shard: Shard) -> TypedSample[M] | None:
        return next((sample for sample in group.read(shard) if wanted(sample)), None)

    results = prefetch(found, shards, threads=_READERS, depth=_READERS)
    with closing(results):  # type: ignore[type-var]
        return next((one for one in results if one), None)


def sample_with(group: _Readable[M], shards: Iterable[Shard], key: str) -> TypedSample[M] | None:
    """The sample of that key in these shards, if it is there; only those are read whose range of keys has it."""
    return first_sample(group, (shard for shard in shards if shard.may_hold(key)), lambda sample: sample.key == key)
