"""What the reporting commands answer: plain values for --json, and the same in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.errors import NotFound
from jobs.report.formatting import count, duration, plural
from jobs.runtime.diagnostics import Failure, failures_in
from jobs.runtime.events import events_in, log_of
from jobs.shards.dataset import Committed
from jobs.shards.store import Store
from pipeline.cli.display import described
from pipeline.executors.base import JobStatus, Observation
from pipeline.planning.plan import StagePlan
from pipeline.planning.takeover import Takeover

Row = dict[str, Any]


def plan_rows(plans: Sequence[StagePlan]) -> list[Row]:
    """One row for every unit: {stage, shard, action, reason}; shard is the unit's name, `*` where none is known yet."""
    rows = []
    for plan in plans:
        if plan.units is None:
            rows.append(_row(plan, "*", "run", plan.waits_for))
        rows += [_row(plan, unit.unit, unit.action, unit.reason) for unit in plan.units or ()]
    return rows


def _row(plan: StagePlan, unit: str, action: str, reason: str) -> Row:
    return {"stage": plan.spec.name, "shard": unit, "action": action, "reason": reason}


def plan_text(rows: Sequence[Row], *, all_rows: bool) -> str:
    """The plan in words: equal actions with equal reasons in one line each, unless every row is asked for."""
    if all_rows:
        return "\n".join(f"{row['stage']:<17} {row['shard']:<20} {row['action']:<5} {row['reason']}" for row in rows)
    counts = Counter((row["stage"], row["action"], row["reason"]) for row in rows)
    lines = []
    for (stage, action, reason), number in counts.items():
        units = [
            row["shard"] for row in rows if (row["stage"], row["action"], row["reason"]) == (stage, action, reason)
        ]
        which = units[0] if number == 1 else f"{number} units"
        lines.append(f"{stage:<17} {action:<5} {which:<20} {reason}")
    return "\n".join(lines)


def takeover_rows(found: Sequence[Takeover]) -> list[Row]:
    """A row for every stage that takes over samples, after those of the units; shard is `*`, and action `take`."""
    return [{**asdict(one), "shard": "*", "action": "take", "reason": _takeover_reason(one)} for one in found]


def takeover_text(found: Sequence[Takeover]) -> str:
    """The same in words."""
    return "\n".join(
        f"{one.stage:<17} take  {_about(one) + plural(one.taken, 'sample'):<20} {_takeover_reason(one)}"
        for one in found
    )


def _about(one: Takeover) -> str:
    return "" if one.exact else "about "


def _takeover_reason(one: Takeover) -> str:
    brought = f"{_about(one)}{count(one.brought)} given by sources, " if one.brought else ""
    left = f"made before by the same recipe; {brought}{_about(one)}{count(one.made)} to make"
    if not one.made:
        return left
    return f"{left}, in {duration(one.seconds)}" if one.seconds is not None else f"{left}, no figures yet of how long"


def changes_text(rows: Sequence[Mapping[str, str]]) -> str:
    """The changes in words."""
    lines = []
    for row in rows:
        done = f"; dry run: {row['dry run']}" if "dry run" in row else ""
        lines.append(f"{row['stage']:<17} Job {row['job']}: {row['change']}{done}")
        lines += [f"    {line}" for line in row.get("difference", "").splitlines()]
    return "\n".join(lines)


def status_rows(store: Store, plans: Sequence[StagePlan], seen: Observation) -> list[Row]:
    """One row for every stage: how many units are done, what its shards hold, the seconds of work in them, its Job."""
    rows = []
    for plan in plans:
        committed = Committed.of(store.at(plan.spec.name))
        done = [unit.outcome for unit in plan.units or () if unit.outcome]
        records = [committed.record(outcome.unit, outcome.fingerprint) for outcome in done]
        shards = [shard for outcome in done for shard in outcome.shards]
        rows.append(
            {
                "stage": plan.spec.name,
                "state": _state(plan, len(done), seen.jobs.get(plan.spec.name)),
                "units": None if plan.units is None else len(plan.units),
                "done": len(done),
                "shards": len(shards),
                "samples": sum(shard.samples for shard in shards),
                "bytes": sum(shard.size for shard in shards),
                "seconds": round(sum(record.seconds for record in records if record), 1),
                "job": job_row(plan, seen.jobs.get(plan.spec.name)),
            }
        )
    return rows


def job_row(plan: StagePlan, job: JobStatus | None) -> Row | None:
    """How the stage's Job stands, in values and as a `summary`; None where there is none or it is over."""
    if job is None or plan.done:
        return None
    shown = f"failed: {job.message}" if job.state == "failed" else described(plan, job)
    return {**{name: value for name, value in asdict(job).items() if name != "progress"}, "summary": shown}


def _state(plan: StagePlan, done: int, job: JobStatus | None) -> str:
    if plan.done:
        return "done"
    if job and job.state == "running":
        return "paused" if job.suspended else "running" if job.active else "waiting"
    if job and job.state in ("failed", "ending"):
        return job.state
    if plan.units is None:
        return plan.waits_for
    return "partly done" if done else "not started"


def status_text(rows: Sequence[Row]) -> str:
    """The status as a table."""
    lines = [f"{'stage':<17} {'units':>11} {'shards':>7} {'samples':>11} {'MB':>9} {'seconds':>9}  state"]
    for row in rows:
        units = f"{row['done']}/{'?' if row['units'] is None else row['units']}"
        lines.append(
            f"{row['stage']:<17} {units:>11} {row['shards']:>7,} {row['samples']:>11,} "
            f"{row['bytes'] / 1e6:>9,.1f} {row['seconds']:>9,.1f}  {row['state']}"
        )
        if row["job"]:
            at_once = f"{row['job']['active']} at work, " if row["job"]["state"] == "running" else ""
            lines.append(f"    {at_once}{row['job']['summary']}")
    return "\n".join(lines)


def logs(store: Store, *, index: int | None) -> list[Row]:
    """All logged events of a stage in order of time, of one index or of all."""
    events = []
    for stat in store.list("logs/"):
        number, attempt = log_of(stat.name) or (-1, "")
        if attempt and index in (None, number):
            lines = store.read(stat.name).data.splitlines()
            events += [(event.time, {"index": number, **event.values}) for event in events_in(lines)]
    return [row for _, row in sorted(events, key=lambda one: one[0])]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a unit is as it is: its row of the plan, and its last failure if it is not done and has failed."""

    row: Row
    failure: Failure | None

    @property
    def values(self) -> Row:
        """As JSON."""
        return {**self.row, "failure": self.failure.model_dump() if self.failure else None}


def why(store: Store, plan: StagePlan, unit: str | None) -> list[Reason]:
    """The reason of every unit that is asked for."""
    rows = [row for row in plan_rows([plan]) if unit is None or row["shard"] == unit]
    if unit is not None and not rows:
        raise NotFound(f"stage {plan.spec.name} has no unit {unit!r}; `i2p plan --all` lists them")
    failures = sorted(failures_in(store), key=lambda failure: -failure.time)

    def newest(row: Row) -> Failure | None:
        return next((one for one in failures if one.unit in (None, row["shard"])), None)

    return [Reason(row, newest(row) if row["action"] != "skip" else None) for row in rows]


def why_text(reasons: Sequence[Reason]) -> str:
    """The reasons in words; a failure that several units share is shown once, with its traceback."""
    lines, shown = [], set()
    for reason in reasons:
        row, failure = reason.row, reason.failure
        lines.append(f"{row['stage']} {row['shard']}: {row['action']}: {row['reason']}")
        if failure:
            lines.append(f"    last failed: {failure.error} (exit code {failure.exit_code})")
            if failure.time not in shown:
                lines += [f"    {line}" for line in failure.traceback.splitlines()]
            shown.add(failure.time)
    return "\n".join(lines)
