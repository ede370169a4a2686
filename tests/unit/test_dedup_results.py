"""A result's files appear whole and together or not at all, and an earlier result is not lost by mistake."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from jobs.dedup.tool.results import COLUMNS, DROPPED, SUMMARY, Results, new_results
from jobs.errors import BadConfiguration, StoreFull
from tests.small_disk import small_disk

ROW = (2, 'a "red" fox', 1, "a fox", 0.9, "a.csv", "a.csv")


def write(results: Results, kept: str = "kept.txt", size: int = 10) -> None:
    with results.writing(kept) as file:
        file.write(b"x" * size)
    results.write_dropped([ROW])
    results.write_summary({"kept_sha256": results.digest(kept)})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_files_have_their_names_when_all_are_finished(tmp_path: Path) -> None:
    with new_results(tmp_path / "a" / "b", force=False) as results:
        write(results)
        assert not {"kept.txt", DROPPED, SUMMARY} & set(names(tmp_path / "a" / "b"))
    assert names(tmp_path / "a" / "b") == [DROPPED, "kept.txt", SUMMARY]
    with (tmp_path / "a" / "b" / DROPPED).open(newline="") as file:
        assert list(csv.reader(file)) == [list(COLUMNS), [str(value) for value in ROW]]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_nothing_not_even_the_folders(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_results(tmp_path / "a" / "b", force=False) as results:
        write(results)
        raise error
    assert names(tmp_path) == []


def test_an_error_leaves_an_earlier_result_as_it_was(tmp_path: Path) -> None:
    with new_results(tmp_path, force=False) as results:
        write(results)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(ValueError, match="no"), new_results(tmp_path, force=True) as results:
        write(results, size=99)
        raise ValueError("no")
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_an_earlier_result_is_replaced_only_when_that_is_asked_for_and_then_whole(tmp_path: Path) -> None:
    with new_results(tmp_path, force=False) as results:
        write(results)
    with (
        pytest.raises(BadConfiguration, match=r"earlier result .kept.txt, dropped.csv, summary.json.*--force"),
        new_results(tmp_path, force=False),
    ):
        pass
    (tmp_path / "notes.md").write_text("mine")
    with new_results(tmp_path, force=True) as results:
        write(results, kept="kept.csv.gz", size=99)
    assert names(tmp_path) == [DROPPED, "kept.csv.gz", "notes.md", SUMMARY]


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("prompt\n")
    with (
        pytest.raises(BadConfiguration, match="would be replaced by the result"),
        new_results(tmp_path, force=True, inputs=[tmp_path / "kept.csv"]),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadConfiguration, match="cannot be written to"), new_results(folder, force=False):
            pass


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        with pytest.raises(StoreFull, match="no file was left there"), new_results(disk / "a", force=False) as results:
            write(results, size=4 << 20)
        assert names(disk) == []
