"""Hostile and damaged files through the filter of files: read or refused, and what is read is copied whole."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from jobs.dedup.tool.tables.formats import format_of
from jobs.dedup.tool.tables.parquet import ParquetTable, copy
from jobs.dedup.tool.tables.reading import copy_rows, open_tables, prompts
from jobs.errors import BadConfiguration, BadData
from tests.fuzz.entries import PARQUETS
from tests.fuzz.mutate import mutated
from tests.hostile.files import write_sources

TAKE_LONG = {"parquet-bomb.parquet"}  # 30 s, for which the sandbox has 4 GiB here; test_hostile.py measures that


def copied(path: Path, column: str | None) -> int:
    """Read a file's prompts and copy all rows."""
    tables = open_tables([path], format_of(path), column)
    keep: Sequence[bool] = [True for _ in prompts(tables[0])]
    copy_rows(tables, [keep], io.BytesIO())
    return len(keep)


def test_files_that_sources_are_tested_with_are_read_or_refused(tmp_path: Path) -> None:
    done = {"read": 0, "refused": 0}
    for name, (kind, _) in write_sources(tmp_path / "hostile").items():
        if kind in ("diffusiondb", "laion-coco", "conceptual-captions") or name in TAKE_LONG:
            continue
        try:
            copied(tmp_path / "hostile" / name, None if ".txt" in name else "prompt")
            done["read"] += 1
        except (BadData, BadConfiguration):
            done["refused"] += 1
    assert min(done.values()) > 5, done


@pytest.mark.parametrize("number", [1, 2, 3, 196])
def test_parquet_that_ends_the_process_which_copies_it_is_an_error(tmp_path: Path, number: int) -> None:
    """Damage at which pyarrow may abort: 196 does in version 26, at a histogram that is too long."""
    path = tmp_path / "a.parquet"
    path.write_bytes(mutated(PARQUETS, "copied", number))
    with suppress(BadData, BadConfiguration):
        copied(path, "prompt")
    with suppress(BadData):
        copy([ParquetTable(path, ("prompt",), "prompt")], [[True] * 3], io.BytesIO())
