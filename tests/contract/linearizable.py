"""Whether what many clients did to one name, and what they were answered, can have happened one after the other.

The search of Wing, Gong and Lowe: operations that overlap in time may be put in any order, others may not; what was
put in order and what it left are remembered, so that no state is searched twice. Names are checked one by one, which
finds the same (linearizability is local), and have to be short stories: a few dozen operations each.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["create", "replace", "put", "delete", "read", "holds", "there"]
Outcome = Literal["done", "refused", "unknown"]
Value = str | None  # digest of what a name holds, or None for nothing
IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one client asked for and was answered; times by one clock.

    `troubled`: so many requests of it failed in a way that leaves open whether they were carried out, or still will be,
    even after the client was answered.
    """

    client: int
    name: str
    kind: Kind
    began: float
    ended: float
    outcome: Outcome
    value: Value = None  # written, or read
    expected: Value = None  # of replace: what the version stands for
    troubled: int = 0

    def __str__(self) -> str:
        value = "" if self.kind == "delete" else f" {_short(self.value)}"
        over = f" over {_short(self.expected)}" if self.kind == "replace" else ""
        trouble = f", {self.troubled} requests without an answer" if self.troubled else ""
        return (
            f"{self.began:12.4f} to {self.ended:12.4f}  client {self.client:<3} {self.kind}{value}{over}: "
            f"{self.outcome}{trouble}"
        )


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened at one moment: what it makes of the state, or IMPOSSIBLE.

    `looks` says that it never changes anything.
    """

    began: float
    ended: float
    required: bool
    looks: bool
    after: Callable[[Value], Value]


@dataclass(frozen=True, slots=True)
class Violation:
    """A name whose operations fit in no order."""

    name: str
    reason: str
    operations: tuple[Operation, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.reason}", *(f"  {one}" for one in self.operations)])


def violations(operations: Iterable[Operation]) -> list[Violation]:
    """Every name for which there is no order; names hold nothing at first."""
    by_name: dict[str, list[Operation]] = defaultdict(list)
    for one in operations:
        by_name[one.name].append(one)
    found = []
    for name, story in sorted(by_name.items()):
        story.sort(key=lambda one: one.began)
        if not has_order(steps_of(story)):
            found.append(Violation(name, reason_in(story), tuple(story)))
    return found


def steps_of(story: Sequence[Operation]) -> list[Step]:
    """What has happened, and what may have."""
    steps = []
    for one in story:
        if one.outcome != "unknown":
            looks = one.outcome == "refused" or one.kind in ("read", "holds", "there")
            steps.append(Step(one.began, one.ended, True, looks, _shown(one)))
        perhaps = one.troubled or int(one.outcome == "unknown")  # requests that may still arrive, at any time
        steps += [Step(one.began, math.inf, False, False, _effect(one))] * perhaps
    return steps


def _shown(one: Operation) -> Callable[[Value], Value]:
    """What must be true at the moment of an operation that the client has an answer of, and what it leaves."""
    value, expected = one.value, one.expected
    match one.kind, one.outcome:
        case ("create", "done"):  # equal bytes count as created
            return lambda state: value if state in (None, value) else IMPOSSIBLE
        case ("create", "refused"):
            return lambda state: state if state not in (None, value) else IMPOSSIBLE
        case ("replace", "done"):
            settled = value if one.troubled else expected  # by equal bytes
            return lambda state: value if state is not None and state in (expected, settled) else IMPOSSIBLE
        case ("replace", "refused"):
            return lambda state: state if state != expected else IMPOSSIBLE
        case ("put", _):
            return lambda _: value
        case ("delete", _):
            return lambda _: None
        case ("holds", "refused"):
            return lambda state: state if state != value else IMPOSSIBLE
        case ("there", _):
            return lambda state: state if state is not None else IMPOSSIBLE
        case _:
            return lambda state: state if state == value else IMPOSSIBLE


def _effect(one: Operation) -> Callable[[Value], Value]:
    """What an operation does if it happens: nothing where its condition does not hold."""
    value, expected = one.value, one.expected
    match one.kind:
        case "create":
            return lambda state: value if state is None else state
        case "replace":
            return lambda state: value if state is not None and state == expected else state
        case "put":
            return lambda _: value
        case "delete":
            return lambda _: None
        case _:
            return lambda state: state


def has_order(steps: Sequence[Step]) -> bool:
    """Whether the required steps, and some of the others, can be put in an order that fits their times."""
    steps = sorted(steps, key=lambda step: step.began)
    required = sum(1 << number for number, step in enumerate(steps) if step.required)
    seen: dict[tuple[int, Value], list[int]] = defaultdict(list)  # what may happen and was used, by where that led
    todo: list[tuple[int, Value]] = [(0, None)]
    while todo:
        done, state = todo.pop()
        done = _quiet(steps, done, state)
        if done & required == required:
            return True
        used = seen[done & required, state]
        if any(before & ~done == 0 for before in used):  # led here with as much or more left to use
            continue
        used.append(done & ~required)
        next_ = [(number, steps[number].after(state)) for number in _next(steps, done)]
        some = [
            (done | 1 << number, after)
            for number, after in next_
            if not steps[number].required and after not in (IMPOSSIBLE, state)
        ]
        noted = [
            (done | 1 << number, after) for number, after in next_ if steps[number].required and after != IMPOSSIBLE
        ]
        todo += some + noted  # the last is tried first: what was answered explains itself best
    return False


def _quiet(steps: Sequence[Step], done: int, state: Value) -> int:
    """The same with all that only looks and can happen now: to let it wait would only do harm."""
    while True:
        before = done
        for number in _next(steps, done):
            if steps[number].looks and steps[number].after(state) == state:
                done |= 1 << number
        if done == before:
            return done


def _next(steps: Sequence[Step], done: int) -> list[int]:
    """What may come next: all that began before the first of those that are left had ended."""
    found, latest = [], math.inf
    for number, step in enumerate(steps):
        if done >> number & 1:
            continue
        if step.began > latest:
            break
        found.append(number)
        if step.required:
            latest = min(latest, step.ended)
    return [number for number in found if steps[number].began <= latest]


def _short(value: Value) -> str:
    return "nothing" if value is None else " ".join(word[:8] for word in value.split())


def reason_in(story: Sequence[Operation]) -> str:
    """What is wrong, where it is plain."""
    done = [one for one in story if one.outcome == "done"]
    for one in (one for one in done if one.kind == "replace"):
        others = [other for other in done if other.kind == "replace" and other.expected == one.expected]
        if len(others) > 1:
            return f"{len(others)} replacements of one version were done"
    creations = [one for one in done if one.kind == "create"]
    if len(creations) > 1 + sum(one.kind == "delete" for one in story):
        return f"{len(creations)} creations were done"
    return "no order of its operations explains what the clients were answered"
