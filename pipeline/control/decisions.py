"""What a controller does next: a pure function of the plan, the Jobs, and what it has done already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from jobs.errors import BAD_CONFIGURATION, OK, STORE_AWAY, TRY_AGAIN
from jobs.shards.records import Manifest, Outcome
from pipeline.executors.base import JobStatus
from pipeline.planning.desired_state import DesiredState
from pipeline.planning.plan import StagePlan

_GENERATIONS = 3  # Jobs for one stage by one controller; more means that what they commit does not stay


@dataclass(frozen=True, slots=True)
class Submit:
    """Start a Job for what a stage lacks."""

    stage: str
    generation: int


@dataclass(frozen=True, slots=True)
class Replace:
    """Stop a stage's Job, which was submitted with another configuration."""

    stage: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Suspend a stage's Job, or let it go on."""

    stage: str
    suspend: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """Write the manifest of a stage that is whole."""

    stage: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Restore:
    """Write records again that cannot be read, as the manifest has them."""

    stage: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do, or nothing more can be done."""

    exit_code: int
    message: str = ""


Action = Submit | Replace | Hold | Publish | Restore | Wait | Finish


def decide(
    plans: Sequence[StagePlan],
    jobs: Mapping[str, JobStatus],
    *,
    submitted: Mapping[str, int] = {},
    replaced: Set[str] = frozenset(),
    desired: DesiredState = "run",
) -> list[Action]:
    """What to do now, from the plan, each stage's newest Job, and what this controller has done already.

    `submitted` counts its Jobs of each stage, `replaced` names the stages whose Job it stopped. A failed stage stops
    what depends on it and nothing else; the run ends when nothing runs any more. A Job whose workers waited in vain for
    the store said nothing of their work: it is history, as often as Jobs are submitted at all.
    """
    if desired == "cancel":
        return [Finish(BAD_CONFIGURATION, "the run was cancelled; `i2p resume` allows it again")]
    actions: list[Action] = []
    failures: list[tuple[str, JobStatus]] = []
    for plan in plans:
        stage, job = plan.spec.name, jobs.get(plan.spec.name)
        if lost := plan.lost_records:
            actions.append(Restore(stage, lost))
        if job and job.state == "ending":
            actions.append(Wait())
        elif job and job.state == "running":
            if job.outdated and plan.ready and stage in replaced:
                failures.append((stage, _contested(job)))
            elif job.outdated and plan.ready:
                actions.append(Replace(stage))
            elif job.suspended is not None and job.suspended != (desired == "pause"):
                actions.append(Hold(stage, desired == "pause"))
            else:
                actions.append(Wait())
        elif plan.done:
            continue
        elif plan.manifest:
            actions.append(Publish(stage, plan.manifest))
        elif job and job.state == "failed" and not job.outdated and not _only_waited(job, submitted.get(stage, 0)):
            failures.append((stage, job))
        elif plan.ready and desired == "pause":
            actions.append(Wait())
        elif plan.ready and submitted.get(stage, 0) >= _GENERATIONS:
            message = f"{_GENERATIONS} Jobs ended well, but {plan.pending} units are still not committed"
            failures.append((stage, JobStatus(state="failed", exit_code=TRY_AGAIN, message=message)))
        elif plan.ready:
            actions.append(Submit(stage, job.generation + 1 if job else 1))
    if actions or not failures:
        return actions or [Finish(OK)]
    stage, job = failures[0]
    return [Finish(TRY_AGAIN if job.exit_code == STORE_AWAY else job.exit_code, f"{stage}: {job.message}")]


def _only_waited(job: JobStatus, submitted: int) -> bool:
    return job.exit_code == STORE_AWAY and submitted < _GENERATIONS


def _contested(job: JobStatus) -> JobStatus:
    message = "another controller submits this stage with another configuration; end one of the two and run again"
    return JobStatus(state="failed", generation=job.generation, exit_code=TRY_AGAIN, message=message)
