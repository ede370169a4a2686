"""The history checker: it accepts what can have happened, finds what cannot, and finds nothing on real servers."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.shards.s3 import S3Store
from tests.contract.history import disturb
from tests.contract.linearizable import Kind, Operation, violations
from tests.s3_servers import server_of

Operations = tuple[Any, ...]  # began, ended, kind, value, then what differs from a plain success


def history(*noted: Operations) -> list[Operation]:
    return [operation(client, *one) for client, one in enumerate(noted)]


def operation(client: int, began: float, ended: float, kind: Kind, value: str | None, **other: Any) -> Operation:
    other = {"outcome": "done", **other}
    return Operation(client=client, name="name", kind=kind, began=began, ended=ended, value=value, **other)


def op(began: float, ended: float, kind: Kind, value: str | None = None, **other: Any) -> Operation:
    return operation(0, began, ended, kind, value, **other)


REFUSED: dict[str, Any] = {"outcome": "refused"}
UNKNOWN: dict[str, Any] = {"outcome": "unknown"}
TROUBLED: dict[str, Any] = {"troubled": True}

POSSIBLE = {
    "one of two creations": [op(0, 2, "create", "a"), op(1, 3, "create", "b", **REFUSED), op(4, 5, "read", "a")],
    "creations on both sides of a deletion": [
        op(0, 1, "create", "a"),
        op(2, 3, "delete"),
        op(4, 5, "create", "b"),
        op(6, 7, "read", "b"),
    ],
    "a chain of replacements": [
        op(0, 1, "create", "a"),
        op(2, 9, "replace", "b", expected="a"),
        op(2, 9, "replace", "c", expected="b"),
        op(2, 9, "replace", "d", expected="a", **REFUSED),
        op(3, 4, "read", "b"),
        op(5, 6, "read", "c"),
    ],
    "a read that overlaps a write sees either": [
        op(0, 1, "create", "a"),
        op(2, 5, "replace", "b", expected="a"),
        op(3, 4, "read", "b"),
        op(3, 4, "read", "a"),
    ],
    "what is unknown has happened": [op(0, 1, "create", "a", **UNKNOWN), op(2, 3, "read", "a")],
    "what is unknown has not happened": [op(0, 1, "create", "a", **UNKNOWN), op(2, 3, "read")],
    "what is unknown happens later": [
        op(0, 1, "create", "a", **UNKNOWN),
        op(2, 3, "read"),
        op(4, 5, "read", "a"),
    ],
    "a refused write whose answer was lost was replaced": [
        op(0, 9, "create", "a", **REFUSED, **TROUBLED),
        op(1, 2, "read", "a"),
        op(3, 4, "replace", "b", expected="a"),
    ],
    "a deletion overlaps the creation that it deletes": [
        op(0, 9, "delete"),
        op(1, 8, "create", "a"),
        op(10, 11, "read"),
    ],
    "a deletion that was sent again deletes what came since": [
        op(0, 1, "create", "a"),
        op(2, 9, "delete", **TROUBLED),
        op(3, 4, "create", "b"),
        op(10, 11, "read"),
    ],
    "digests are looked at": [
        op(0, 1, "create", "a"),
        op(2, 3, "holds", "a"),
        op(2, 3, "holds", "b", **REFUSED),
        op(2, 3, "there"),
    ],
}

IMPOSSIBLE = {
    "two creations": [op(0, 2, "create", "a"), op(1, 3, "create", "b")],
    "two replacements of one version": [
        op(0, 1, "create", "a"),
        op(2, 4, "replace", "b", expected="a"),
        op(3, 5, "replace", "c", expected="a"),
    ],
    "a refusal without a reason": [op(0, 1, "create", "a", **REFUSED)],
    "a replacement of what is unchanged was refused": [
        op(0, 1, "create", "a"),
        op(2, 3, "replace", "b", expected="a", **REFUSED),
    ],
    "an old value is read": [
        op(0, 1, "create", "a"),
        op(2, 3, "replace", "b", expected="a"),
        op(4, 5, "read", "a"),
    ],
    "a value is read before it is written": [op(0, 1, "read", "a"), op(2, 3, "create", "a")],
    "reads go back": [
        op(0, 1, "create", "a"),
        op(2, 9, "replace", "b", expected="a"),
        op(3, 4, "read", "b"),
        op(5, 6, "read", "a"),
    ],
    "a value is read that nobody wrote": [op(0, 1, "create", "a"), op(2, 3, "read", "x")],
    "a deleted object is read": [op(0, 1, "create", "a"), op(2, 3, "delete"), op(4, 5, "read", "a")],
    "a write is lost": [op(0, 1, "put", "a"), op(2, 3, "read")],
    "a lost write explains only itself": [
        op(0, 1, "create", "a", **UNKNOWN),
        op(2, 3, "read", "b"),
    ],
}


@pytest.mark.parametrize("story", POSSIBLE.values(), ids=POSSIBLE)
def test_what_can_have_happened_is_accepted(story: list[Operation]) -> None:
    assert violations(story) == []
    assert violations(story[::-1]) == [], "the order in which it is noted does not matter"


@pytest.mark.parametrize("story", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_have_happened_is_found(story: list[Operation]) -> None:
    (violation,) = violations(story)
    assert str(violation).startswith("name: ")


def test_a_long_story_with_many_lost_answers_is_checked_in_no_time() -> None:
    story = [op(0, 1, "create", "0")]
    for number in range(1, 60):
        at = 2.0 * number
        story.append(op(at, at + 3, "replace", str(number), expected=str(number - 1), troubled=number % 3 == 0))
        story.append(op(at, at + 3, "create", f"lost {number}", outcome="unknown" if number % 5 == 0 else "refused"))
    assert violations(story) == []
    assert violations([*story, op(200, 201, "read", "3")])


@pytest.mark.parametrize(
    ("ignored", "reason"), [("if-match", "replacements of one version"), ("if-none-match", "creations were done")]
)
def test_a_way_to_the_server_that_drops_a_condition_is_found(s3_store: S3Store, ignored: str, reason: str) -> None:
    result = disturb(s3_store, 400, faults=0.02, races=False, strip=(ignored,), at_most_seconds=40)
    assert any(reason in violation.reason for violation in result.violations), result


def test_many_clients_and_faults_on_a_real_server_have_an_order(
    every_s3_store: S3Store, request: pytest.FixtureRequest
) -> None:
    races = not server_of(request).loses_deletions
    result = disturb(every_s3_store, 2500, faults=0.1, races=races, at_most_seconds=25)
    assert not result.violations, f"{result.violations[0]}\n{result}"
    assert len(result.history.operations) > 200
    assert {one.outcome for one in result.history.operations} == {"done", "refused", "unknown"}, result
