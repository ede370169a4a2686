"""What the process that decodes parquet answers is checked: a foreign file may have taken it over."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.collect.sources import parquet_client
from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.parquet_service import Answer, End, Rows, Table, Unreadable
from jobs.dedup.tool.tables.parquet import ParquetTable
from jobs.errors import BadData
from jobs.runtime.sandbox.pool import Died

TABLE = Table(rows=2), b'["prompt"]'
ROWS = Rows(), b'[["a cat"],["a dog"]]'

Script = Callable[[Sequence[tuple[Answer, bytes]]], Path]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    """Makes the process answer this, whatever the file is that it is started for."""
    path = tmp_path / "a.parquet"
    path.touch()

    def scripted(answers: Sequence[tuple[Answer, bytes]]) -> Path:
        class Child:
            def __init__(self, *_: Any, **__: Any) -> None:
                self.left = iter(answers)

            def ask(self, _: Any) -> None: ...

            def answer(self, _: int) -> tuple[Answer, bytes]:
                return next(self.left)

            def close(self) -> None: ...

        monkeypatch.setattr(parquet_client, "Child", Child)
        return path

    return scripted


def test_the_values_are_what_the_process_sent(script: Script) -> None:
    path = script([TABLE, ROWS, (Rows(), b'[[null],[["is a list"]]]'), (End(sent=4), b"")])
    with path.open("rb") as file:
        *values, (unfit,) = (row for row in parquet_client.values_of(file, ["prompt"], SourceLimits()))
    assert values == [("a cat",), ("a dog",), (None,)]
    assert "is a list" in repr(unfit)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([TABLE, ROWS, (End(sent=3), b"")], "sent 2 rows and said that they were 3"),
        ([TABLE, (Rows(), b'[["a cat","a dog"]]'), (End(sent=1), b"")], "sent 2 values in place of 1"),
        ([ROWS, (End(sent=2), b"")], "not asked for"),
        ([(Table(rows=2), b"[1]"), ROWS, (End(sent=2), b"")], "not asked for"),
        ([TABLE, (Rows(), json.dumps({"prompt": "a cat"}).encode()), (End(sent=1), b"")], "not asked for"),
    ],
)
def test_an_answer_that_cannot_be_right_ends_the_reading(
    script: Script, answers: list[tuple[Answer, bytes]], words: str
) -> None:
    path = script(answers)
    with path.open("rb") as file, pytest.raises(Died, match=words):
        list(parquet_client.values_of(file, ["prompt"], SourceLimits()))
    with pytest.raises(BadData, match=f"{path} is not readable as parquet: .*{words}"):
        list(ParquetTable(path, ("prompt",), "prompt").values())


def test_a_file_that_is_no_parquet_is_bad_data_in_the_decoder_s_words(script: Script) -> None:
    path = script([(Unreadable(error="no magic bytes"), b"")])
    with pytest.raises(BadData, match=f"{path} is not readable as parquet: no magic bytes"):
        list(ParquetTable(path, ("prompt",), "prompt").values())
