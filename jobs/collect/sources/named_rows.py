"""Rows of named columns, whichever of CSV, TSV, JSON lines and parquet a file is by its ending."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.delimited import Layout, table_rows
from jobs.collect.sources.json_files import json_of_line
from jobs.collect.sources.parquet_reading import numbered_rows
from jobs.collect.sources.rows import BadRow
from jobs.errors import BadConfiguration

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")  # each also with .gz

NamedRow = tuple[int, list[Any]]  # its number, and its values


def named_rows(source: TextSource, file: File, columns: Sequence[str]) -> Iterator[NamedRow | BadRow]:
    """The values of these columns in every row; raises BadData where the file has no such column."""
    match ending_of(file):
        case ".csv":
            yield from table_rows(source, file, columns, Layout(csv.excel))
        case ".tsv":
            yield from table_rows(source, file, columns, Layout(csv.excel_tab, "\t"))
        case ".jsonl":
            yield from _members(source, file, columns)
        case ".parquet":
            for number, values in numbered_rows(source, file, list(columns)):
                yield number, [values[column] for column in columns]


def ending_of(file: File) -> str:
    """The one of ENDINGS that a file has; raises BadConfiguration for another one."""
    name = file.name.lower().removesuffix(".gz")
    for ending in ENDINGS:
        if name.endswith(ending):
            return ending
    raise BadConfiguration(f"a file that ends in {', '.join(ENDINGS)} is required, given {file.label!r}")


def _members(source: TextSource, file: File, columns: Sequence[str]) -> Iterator[NamedRow | BadRow]:
    with source.lines(file) as lines:
        for line in lines:
            if isinstance(line, BadRow):
                yield line
                continue
            number, text = line
            if not text.strip():
                continue
            value = json_of_line(number, text)
            if isinstance(value, BadRow):
                yield value
                continue
            missing = [column for column in columns if not isinstance(value, dict) or column not in value]
            if missing:
                yield BadRow(number, f"it is not an object with a member {missing[0]!r}")
            else:
                yield number, [value[column] for column in columns]
