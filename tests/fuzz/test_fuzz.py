"""Ten thousand mutations of whole inputs for everything that reads foreign bytes: no error that is not ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import failures_of
from tests.fuzz.entries import ENTRIES, Entry
from tests.fuzz.mutate import mutated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_whole_is_read(name: str) -> None:
    for seed in ENTRIES[name].seeds:
        ENTRIES[name].read(seed)


def test_ten_thousand_mutations_of_everything_raise_only_our_errors() -> None:
    """In a process of its own, which has a limit of memory and may crash."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count(" 0 failures") == len(ENTRIES)


def test_a_mutation_is_the_same_whenever_it_is_made_and_an_error_of_another_kind_is_found() -> None:
    seeds = ENTRIES["csv"].seeds
    assert [mutated(seeds, "csv", number) for number in range(50)] == [
        mutated(seeds, "csv", number) for number in range(50)
    ]
    assert len({mutated(seeds, "csv", number) for number in range(50)}) > 40
    fragile = Entry(lambda data: data.decode("ascii"), [b"only ASCII"])
    assert any("UnicodeDecodeError" in failure for failure in failures_of("fragile", fragile, range(1_000)))
