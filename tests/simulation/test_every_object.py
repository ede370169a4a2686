"""Every object of a finished run deleted, cut and flipped, one after the other: repair brings the same digests back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.control.decisions import Finish
from pipeline.maintenance.repair import Finding, clear_damage
from tests.simulation import patches
from tests.simulation.invariants import check_end
from tests.simulation.s3 import Object
from tests.simulation.scenario import Plan, Schedule

QUIET: list[int] = []  # no choice is made: nothing fails
DAMAGES = ("delete", "cut", "flip")
EVIDENCE = ("/logs/", "/failures/")  # what only tells what happened: nothing makes it again


@pytest.fixture
def finished() -> Iterator[Schedule]:
    """A run of three stages that is done."""
    with patches.simulated():
        schedule = Schedule(0, Plan(damages=(), reproducible=True), QUIET)
        schedule.world.faults = False
        assert finish(schedule) == Finish(0)
        yield schedule


def finish(schedule: Schedule, *, repair: bool = False) -> Finish:
    controller = schedule._controller(repair=repair)
    finish: Finish = schedule._value_of(controller, [])
    schedule.cluster.jobs.clear()
    return finish


def damage(schedule: Schedule, key: str, how: str) -> None:
    body = schedule.bucket.objects[key].body
    position = min(1544, len(body) // 2)
    changed = {
        "cut": body[: len(body) // 2],
        "flip": body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :],
    }
    schedule.watcher.disturbed.add(key)
    if how == "delete":
        schedule.bucket.remove(key)
    else:
        schedule.bucket.put(key, changed[how])


def repaired(schedule: Schedule) -> list[Finding]:
    found: list[Finding] = schedule._acting_as("repair", lambda: list(clear_damage(schedule.run, schedule.config)))  # type: ignore[arg-type]
    assert finish(schedule, repair=True) == Finish(0)
    return found


def made(schedule: Schedule) -> int:
    """Shards that were written since the trace was cleared."""
    return sum(what.startswith("PUT") and "/shards/" in what for _, _, what in schedule.world.trace)


def test_repair_brings_every_object_back_and_makes_nothing_else(finished: Schedule) -> None:
    whole: dict[str, Object] = dict(finished.bucket.objects)
    kinds = {part for key in whole for part in ("/shards/", "/commits/", "/manifest.json", "/logs/") if part in key}
    assert len(kinds) == 4
    for key in whole:
        for how in DAMAGES:
            finished.bucket.objects = dict(whole)
            finished.world.trace.clear()
            damage(finished, key, how)
            found = repaired(finished)
            now = finished.bucket.objects
            for name, one in whole.items():
                if "/shards/" in name or name.endswith("/manifest.json"):
                    assert now[name].body == one.body, (how, key, name)
            assert made(finished) == (1 if "/shards/" in key else 0), (how, key)
            named = [finding for finding in found if finding.name and finding.name in key]
            evidence = any(part in key for part in EVIDENCE)
            assert named or how == "delete" or evidence or key.endswith(".json"), (how, key)
            finished._acting_as("check", lambda: check_end(finished.world, finished.run))
            assert not finished.world.violations, (how, key, finished.world.violations)


def test_a_whole_run_needs_no_repair(finished: Schedule) -> None:
    before = {key: one.body for key, one in finished.bucket.objects.items()}
    finished.world.trace.clear()
    assert repaired(finished) == []
    assert made(finished) == 0
    assert {key: one.body for key, one in finished.bucket.objects.items()} == before


def test_a_damaged_shard_is_set_aside_and_what_was_read_from_it_can_still_be_looked_at(finished: Schedule) -> None:
    key = next(key for key in finished.bucket.objects if "/embed/shards/" in key)
    damage(finished, key, "flip")
    spoilt = finished.bucket.objects[key].body
    (finding,) = repaired(finished)
    assert finding.name == key.removeprefix("runs/run/")
    assert "set aside as damaged/" in finding.what
    assert finished.bucket.objects[key.replace("/shards/", "/damaged/")].body == spoilt
