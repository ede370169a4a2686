"""The runs of a store: which stages they have published, how much they hold, and when they last changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.catalog import STAGES
from jobs.shards.records import MANIFEST
from jobs.shards.removal import age
from jobs.shards.store import Store

_STAGES = {spec.name: number for number, spec in enumerate(STAGES)}
_UNITS = ((86_400 * 365, "years"), (86_400, "days"), (3_600, "hours"), (60, "minutes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as a listing shows it. `age` is in seconds since its newest object was written."""

    name: str
    published: tuple[str, ...]
    begun: tuple[str, ...]  # stages that have objects and no manifest
    claims: int
    objects: int
    bytes: int
    age: float | None


def runs_in(root: Store) -> list[Run]:
    """All runs of a store by name, from one listing of everything in it."""
    objects: dict[str, list[tuple[str, int, float]]] = {}
    now = time.time()
    for stat in root.list(""):
        run, slash, rest = stat.name.partition("/")
        if slash:
            objects.setdefault(run, []).append((rest, stat.size, age(stat, now)))
    found = []
    for name, members in objects.items():
        stages = {rest.partition("/")[0] for rest, _, _ in members} & _STAGES.keys()
        claims = sum(rest.startswith("claims/") and rest.count("/") == 1 for rest, _, _ in members)
        if stages or claims:  # else it is no run's folder
            there = {rest for rest, _, _ in members}
            published = {stage for stage in stages if f"{stage}/{MANIFEST}" in there}
            found.append(
                Run(
                    name=name,
                    published=_in_order(published),
                    begun=_in_order(stages - published),
                    claims=claims,
                    objects=len(members),
                    bytes=sum(size for _, size, _ in members),
                    age=min(seconds for _, _, seconds in members),
                )
            )
    return found


def _in_order(stages: set[str]) -> tuple[str, ...]:
    return tuple(sorted(stages, key=_STAGES.__getitem__))


def runs_text(runs: Sequence[Run]) -> str:
    """The runs as a table."""
    width = max((len(run.name) for run in runs), default=3)
    lines = [f"{'run':<{width}} {'objects':>9} {'MB':>11}  {'last change':<15} stages"]
    for run in runs:
        stages = ", ".join([*run.published, *(f"{stage} (not finished)" for stage in run.begun)])
        claims = [f"{run.claims} batches claimed"] if run.claims else []
        what = "; ".join(filter(None, [stages, *claims]))
        lines.append(f"{run.name:<{width}} {run.objects:>9,} {run.bytes / 1e6:>11,.1f}  {ago(run.age):<15} {what}")
    return "\n".join(lines)


def ago(seconds: float | None) -> str:
    """How long ago, in the largest unit of which there are two."""
    if seconds is None:
        return "?"
    for unit, name in _UNITS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "just now"
