"""Two thousand schedules hold every invariant, the same seed is the same schedule, and wrong protocols are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation import patches
from tests.simulation.__main__ import run_seed, run_seeds
from tests.simulation.firings import simulate_firings
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.scenario import Outcome, Plan, simulate
from tests.simulation.shrink import shrink

SCHEDULES = 2_000
BLOCK = 125
SEEDS_TO_FIND = {"(found 1)": 50, "(found 2)": 50}  # what was wrong once must show soon
MOST_SEEDS = 1_000


@pytest.fixture
def simulated() -> Iterator[None]:
    with patches.simulated():
        yield


@pytest.mark.parametrize("first", range(0, SCHEDULES, BLOCK))
def test_no_invariant_is_broken(first: int) -> None:
    _, broken = run_seeds(range(first, first + BLOCK))
    assert not [(one.seed, one.violations) for one in broken]


def found(mutant: Mutant, seeds: int) -> Outcome | None:
    schedule = simulate_firings if mutant.firings else simulate
    with mutant.change():
        tried = range(mutant.first, mutant.first + seeds)
        outcomes = (schedule(seed, mutant.plan) for seed in tried)
        return next((one for one in outcomes if any(mutant.breaks in ("", name) for name, _ in one.violations)), None)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_wrong_protocol_is_found(mutant: Mutant, simulated: None) -> None:
    seeds = next((few for mark, few in SEEDS_TO_FIND.items() if mark in mutant.name), MOST_SEEDS)
    assert found(mutant, seeds), f"nothing was broken in {seeds} schedules"


@pytest.mark.parametrize("mark", SEEDS_TO_FIND)
def test_what_was_wrong_once_would_show_within_fifty_seeds_of_anything(mark: str, simulated: None) -> None:
    (mutant,) = (one for one in MUTANTS if mark in one.name)
    with mutant.change():
        assert any(simulate(seed, Plan()).violations for seed in range(50))


def test_every_kind_of_call_and_trouble_is_in_the_schedules(simulated: None) -> None:
    seen: Counter[str] = Counter()
    for seed in range(100):
        for _, actor, what in run_seed(seed).trace:
            seen[what.split()[0] if what.split()[0].isupper() else what] += 1
            seen[actor.partition("#")[0].split("-")[0]] += 1
    wanted = {
        "PUT",
        "GET",
        "HEAD",
        "LIST",
        "DELETE",
        "list jobs",
        "list pods",
        "dies",
        "is preempted",
        "its node is lost, and it goes on",
        "controller",
        "collector",
        "operator",
        "repair",
        "firing",
    }
    assert wanted <= seen.keys(), wanted - seen.keys()


def test_a_seed_is_the_same_schedule_in_every_process() -> None:
    code = (
        "from tests.simulation import patches; from tests.simulation.__main__ import run_seed; import hashlib\n"
        "with patches.simulated():\n"
        "    print(hashlib.sha256(repr([run_seed(seed).trace for seed in range(40)]).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_failing_schedule_shrinks_to_one_that_fails_likewise_and_is_replayed_by_its_choices(simulated: None) -> None:
    (mutant,) = (one for one in MUTANTS if "(found 1)" in one.name)
    outcome = found(mutant, 50)
    assert outcome is not None
    broken = outcome.violations[0][0]
    with mutant.change():

        def fails(script: object) -> bool:
            return any(name == broken for name, _ in simulate(outcome.seed, mutant.plan, script).violations)  # type: ignore[arg-type]

        assert simulate(outcome.seed, mutant.plan, outcome.made).trace == outcome.trace
        small = shrink(outcome.made, fails, tries=60)
        assert fails(small)
    assert sum(map(bool, small)) < sum(map(bool, outcome.made)) / 4


def test_shrinking_finds_the_one_choice_that_matters() -> None:
    script = [3, 1, 0, 2, 5, 1, 1, 7, 0, 2]
    assert shrink(script, lambda some: len(some) > 4 and some[4] == 5) == [0, 0, 0, 0, 5]
    assert shrink(script, lambda some: False) == script
