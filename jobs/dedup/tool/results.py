"""The folder of a result: its files appear whole and together, and those of an earlier one are not lost by mistake."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from jobs.dedup.tool.tables.formats import EVERY
from jobs.errors import BadConfiguration
from jobs.shards.digests import sha256_of_file
from jobs.shards.store import translate_full_disk

DROPPED, SUMMARY = "dropped.csv", "summary.json"
# The last two say of which file a row is. They are there for one file too, so that a program reads one kind of table.
COLUMNS = ("row", "prompt", "witness row", "witness", "cosine", "file", "witness file")
NAMES = (*(one.kept for one in EVERY), DROPPED, SUMMARY)  # of the files of the filter
_IF_FULL = "no file was left there: free some space, or choose another folder"
_UNFINISHED = ".unfinished"  # behind the name of a file that is being written


@dataclass(frozen=True, slots=True)
class Results:
    """Files being written to a folder, under other names until all are finished."""

    folder: Path
    names: list[str] = field(default_factory=list)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A new file; it is on the disk when this ends."""
        self.names.append(name)
        with self.path(name).open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def path(self, name: str) -> Path:
        """Where the file is while it is unfinished."""
        return self.folder / f".{name}{_UNFINISHED}"

    def digest(self, name: str) -> str:
        """The SHA-256 of a file that was written."""
        return digest_of(self.path(name))

    def write_dropped(self, rows: Iterable[Sequence[object]]) -> None:
        """Write dropped.csv, whose rows are of COLUMNS."""
        with self.writing(DROPPED) as file:
            text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")  # names of files may be any bytes
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
            text.detach()

    def write_summary(self, values: dict[str, Any]) -> None:
        """Write summary.json."""
        with self.writing(SUMMARY) as file:
            file.write(f"{json.dumps(values, indent=2, ensure_ascii=False)}\n".encode(errors="replace"))


@contextmanager
def new_results(
    folder: Path, *, force: bool, inputs: Sequence[Path] = (), names: Sequence[str] = NAMES, last: str = SUMMARY
) -> Iterator[Results]:
    """Files to be written to the folder, which is made; they take their names when this ends, `last` at the end.

    `names` are of all files that a result can have, by which an earlier one is known.
    An error leaves nothing new in the folder. Raises BadConfiguration where an earlier result is there, unless it may
    be replaced (`force`), or one of the inputs; StoreFull where the disk is full.
    """
    earlier = [folder / name for name in names]
    for path in inputs:
        if any(one.exists() and one.samefile(path) for one in earlier):
            raise BadConfiguration(f"{path} would be replaced by the result: choose another folder than {folder}")
    if not force and (there := [path.name for path in earlier if path.exists()]):
        raise BadConfiguration(
            f"{folder} holds an earlier result ({', '.join(there)}): choose another folder, or replace it with --force"
        )
    made = _make(folder)
    results, finished = Results(folder), False
    try:
        with translate_full_disk(folder, _IF_FULL):
            yield results
            (folder / last).unlink(missing_ok=True)  # without it a result is none
            for path in earlier:
                if path.name not in results.names:
                    path.unlink(missing_ok=True)
            for name in sorted(results.names, key=last.__eq__):
                results.path(name).replace(folder / name)
        finished = True
    finally:
        if not finished:
            for name in results.names:
                results.path(name).unlink(missing_ok=True)
            for one in made:
                with suppress(OSError):  # somebody else has put something into it
                    one.rmdir()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return sha256_of_file(file)


def _make(folder: Path) -> list[Path]:
    """Make the folder; returns which folders were not there, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with translate_full_disk(folder, _IF_FULL):
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / _UNFINISHED  # now, and not after minutes of work
            probe.write_bytes(b"")
            probe.unlink()
    except OSError as error:
        raise BadConfiguration(f"{folder} cannot be written to: {error.strerror}; choose another folder") from error
    return missing
