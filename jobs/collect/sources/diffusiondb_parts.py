"""DiffusionDB's `part-*.json`: an object of {image's name: {p, se, c, st, sa}} for each thousand images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.json_files import member_row, numbered_values
from jobs.collect.sources.rows import AnyRow, Row, row_of

_MEMBERS = {"seed": "se", "cfg": "c", "steps": "st", "sampler": "sa"}


def is_part(file: File) -> bool:
    """Whether the file is such a part, by its name."""
    return file.name.removesuffix(".gz").endswith(".json")


def part_rows(source: FileSource, file: File) -> Iterator[AnyRow]:
    """The prompts of a part, each with its image's name, seed, cfg, steps and sampler; raises BadData."""
    for number, image, value in numbered_values(source, file):
        row = member_row(number, value, "p", **_MEMBERS)
        if isinstance(row, Row):
            named = row_of(number, row.prompt, image=image)
            row = replace(row, extra={"image": image, **row.extra}) if isinstance(named, Row) else named
        yield row
