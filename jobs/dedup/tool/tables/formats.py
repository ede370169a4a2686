"""The formats of files of prompts, by the names' endings."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from jobs.errors import BadConfiguration

_GZ = ".gz"
PARQUET = ".parquet"
TEXT = ".txt"
_ENDINGS = {TEXT: TEXT, ".csv": ".csv", ".tsv": ".tsv", ".jsonl": ".jsonl", ".ndjson": ".jsonl", PARQUET: PARQUET}


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its usual ending, and whether it is compressed with gzip around it."""

    ending: str
    gzip: bool = False

    @property
    def kept(self) -> str:
        """The name of the file of kept rows."""
        return f"kept{self.ending}{_GZ if self.gzip else ''}"

    @contextmanager
    def writing(self, file: BinaryIO) -> Iterator[BinaryIO]:
        """The file to write to, compressed where the format is; equal content gives equal bytes."""
        if not self.gzip:
            yield file
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as inside:
            yield cast(BinaryIO, inside)


EVERY = tuple(Format(ending, with_gzip) for ending in dict.fromkeys(_ENDINGS.values()) for with_gzip in (False, True))


def format_of(path: Path) -> Format:
    """The format that a file's name says; raises BadConfiguration for another."""
    with_gzip = path.suffix.lower() == _GZ
    ending = Path(path.stem if with_gzip else path.name).suffix.lower()
    if ending not in _ENDINGS or (with_gzip and ending == PARQUET):
        hint = "; parquet is compressed inside: gunzip it" if with_gzip and ending == PARQUET else ""
        known = ", ".join(one for one in _ENDINGS if one != PARQUET)
        raise BadConfiguration(
            f"{path}: a name is required that says the format, {known} (or with .gz) or {PARQUET}{hint}"
        )
    return Format(_ENDINGS[ending], with_gzip)


def common_format(paths: Sequence[Path]) -> Format:
    """The one format of all files, compressed if all of them are; raises BadConfiguration where they differ."""
    found = [format_of(path) for path in paths]
    for path, one in zip(paths, found, strict=True):
        if one.ending != found[0].ending:
            raise BadConfiguration(
                f"{paths[0]} is {found[0].ending} and {path} is {one.ending}: files of one format are required, as the "
                "kept rows of all go into one file; convert one, or filter each alone"
            )
    return Format(found[0].ending, all(one.gzip for one in found))
