"""What the process that decodes parquet answers is checked: a foreign file may have taken it over."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.collect.sources import parquet_client
from jobs.collect.sources.limits import SourceLimits
from jobs.collect.sources.parquet_service import Answer, Column, End, Rows, Table, Unreadable
from jobs.dedup.tool.tables.parquet import ParquetTable
from jobs.errors import BadData
from jobs.runtime.sandbox.pool import Died

Message = tuple[Answer, bytes]
Script = Callable[[Sequence[Message]], Path]

TABLE: Message = Table(rows=2, parts=1), b'["prompt"]'
TABLES = [TABLE, TABLE]  # one for the question what the file has, one before the values


def rows(count: int, *columns: tuple[Any, bytes, bytes, bytes]) -> Message:
    """Rows of columns, of each its type, lengths, content, and what is odd."""
    heads = tuple(Column(type=type_, sizes=(len(a), len(b), len(c))) for type_, a, b, c in columns)
    return Rows(rows=count, columns=heads), b"".join(part for _, *parts in columns for part in parts)


def lengths(*numbers: int) -> bytes:
    return array("q", numbers).tobytes()


def text(content: bytes, *numbers: int, odd: Any = None) -> tuple[Any, bytes, bytes, bytes]:
    return "text", lengths(*numbers), content, json.dumps(odd).encode() if odd is not None else b""


ROWS = rows(2, text(b"a cata dog", 5, 5))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    """Makes the process answer this, whatever the file is that it is started for."""
    path = tmp_path / "a.parquet"
    path.touch()

    def scripted(answers: Sequence[Message]) -> Path:
        class Child:
            def __init__(self, *_: Any, **__: Any) -> None:
                self.left = iter(answers)

            def ask(self, _: Any) -> None: ...

            def answer(self, _: int) -> Message:
                return next(self.left)

            def close(self) -> None: ...

        monkeypatch.setattr(parquet_client, "Child", Child)
        return path

    return scripted


def values(path: Path, columns: Sequence[str] = ("prompt",)) -> list[tuple[Any, ...]]:
    with path.open("rb") as file, parquet_client.parquet_file(file, SourceLimits()) as table:
        return list(table.values(columns))


def test_the_values_are_what_the_process_sent(script: Script) -> None:
    odd = rows(2, text(b"", -1, -1, odd=[[1, "is a list"]]))
    *found, (unfit,) = values(script([*TABLES, ROWS, rows(1, text("é".encode(), 1)), odd, (End(sent=5), b"")]))
    assert found == [("a cat",), ("a dog",), ("é",), (None,)]
    assert "is a list" in repr(unfit)


def test_numbers_lists_and_images_are_what_the_process_sent(script: Script) -> None:
    sent = rows(
        2,
        ("int64", b"\1\0", lengths(7, 0), b""),
        ("float64", b"", array("d", [0.5, 2]).tobytes(), b""),
        ("bool", b"", b"\0\1", b""),
        ("list", lengths(-1, 2), b"", b""),
        text(b"abc", 1, 2),
        ("image", b"", b"", b""),
        ("bytes", lengths(2, -1), b"\xff\xd8", b""),
        text(b"1.png", -1, 5),
    )
    found = values(script([*TABLES, sent, (End(sent=2), b"")]), "abcde")
    assert found == [(7, 0.5, False, None, b"\xff\xd8"), (None, 2.0, True, ["a", "bc"], "1.png")]


END: Message = End(sent=2), b""
WRONG: dict[str, tuple[list[Message], str]] = {
    "fewer rows than it says": ([*TABLES, ROWS, (End(sent=3), b"")], "sent 2 rows and said that they were 3"),
    "a column too many": ([*TABLES, rows(1, text(b"a", 1), text(b"a", 1)), END], "sent 2 columns in place of 1"),
    "no column": ([*TABLES, rows(2), END], "sent 0 columns in place of 1"),
    "rows of another number": ([*TABLES, rows(3, text(b"ab", 1, 1)), END], "columns that have not all 3 rows"),
    "rows first": ([ROWS, END], "not asked for"),
    "names that are numbers": ([(Table(rows=2, parts=1), b"[1]"), ROWS, END], "not asked for"),
    "a table among the rows": ([*TABLES, TABLE, END], "not asked for"),
    "sizes beyond the body": ([*TABLES, (ROWS[0], ROWS[1][:-1]), END], "sizes do not add up"),
    "a body beyond the sizes": ([*TABLES, (ROWS[0], ROWS[1] + b"a"), END], "sizes do not add up"),
    "lengths beyond the text": ([*TABLES, rows(2, text(b"abc", 2, 2)), END], "lengths that do not add up"),
    "lengths below the text": ([*TABLES, rows(2, text(b"abc", 1, 1)), END], "lengths that do not add up"),
    "a negative length": ([*TABLES, rows(2, text(b"abc", 5, -2)), END], "lengths that do not add up"),
    "lengths of bytes": ([*TABLES, rows(1, text("é".encode(), 2)), END], "lengths that do not add up"),
    "half a length": ([*TABLES, rows(1, ("text", b"\1\0", b"a", b"")), END], "a part of a number"),
    "half a number": ([*TABLES, rows(1, ("int64", b"", b"\1\0", b"")), END], "a part of a number"),
    "no UTF-8": ([*TABLES, rows(1, text(b"\xff", 1)), END], "text that is not UTF-8"),
    "a surrogate": ([*TABLES, rows(1, text(b"\xed\xa0\x80", 1)), END], "text that is not UTF-8"),
    "neither true nor false": ([*TABLES, rows(1, ("bool", b"", b"\2", b"")), END], "neither true nor false"),
    "nulls of another number": ([*TABLES, rows(1, ("bool", b"\1\1", b"\1", b"")), END], "nulls that cannot be"),
    "items missing": ([*TABLES, rows(1, ("list", lengths(1), b"", b"")), END], "parts are missing"),
    "items too few": ([*TABLES, rows(1, ("list", lengths(2), b"", b""), text(b"a", 1)), END], "do not add up"),
    "a list of lists": (
        [*TABLES, rows(1, *[("list", lengths(1), b"", b"")] * 500, text(b"a", 1)), END],
        "parts are missing",
    ),
    "paths missing": (
        [*TABLES, rows(1, ("image", b"", b"", b""), ("bytes", lengths(0), b"", b""), text(b"")), END],
        "not each has its two parts",
    ),
    "a reason for no value": ([*TABLES, rows(1, text(b"", -1, odd=[[1, "no"]])), END], "a reason for a value"),
    "a reason before the values": ([*TABLES, rows(1, text(b"", -1, odd=[[-1, "no"]])), END], "a reason for a value"),
    "a reason that is none": ([*TABLES, rows(1, text(b"", -1, odd={"a": 1})), END], "not asked for"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_answer_that_cannot_be_right_ends_the_reading(script: Script, case: str) -> None:
    answers, words = WRONG[case]
    path = script(answers)
    with pytest.raises(Died, match=words):
        values(path)
    with pytest.raises(BadData, match=f"{path} is not readable as parquet: .*{words}"):
        list(ParquetTable(path, ("prompt",), "prompt").values())


def test_a_file_that_is_no_parquet_is_bad_data_in_the_decoder_s_words(script: Script) -> None:
    path = script([(Unreadable(error="no magic bytes"), b"")])
    with pytest.raises(BadData, match=f"{path} is not readable as parquet: no magic bytes"):
        list(ParquetTable(path, ("prompt",), "prompt").values())


def test_processes_that_do_not_agree_on_the_table_are_not_believed(script: Script) -> None:
    with pytest.raises(Died, match="another table than before"):
        values(script([TABLE, (Table(rows=3, parts=1), b'["prompt"]')]))
