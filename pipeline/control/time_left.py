"""How long a run still takes: what runs, from its own rate; what comes later, from how long its units took before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from jobs.shards.dataset import Committed
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.base import JobStatus
from pipeline.planning.plan import StagePlan

_LOOKED_AT = 20  # records of a stage, the newest ones by name
_MEANINGFUL_PART = 0.02  # of a Job; with less done its rate says nothing


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds until the run is done, without the stages that have no figures yet."""

    seconds: float
    unknown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return bool(self.seconds or self.unknown)

    def __str__(self) -> str:
        if not self.unknown:
            return f"{clock_format(self.seconds)} left"
        without = f"no estimate yet for {', '.join(self.unknown)}"
        return f"at least {clock_format(self.seconds)} left; {without}" if self.seconds else without


def seconds_by_unit(store: Store, config: RunConfig) -> dict[str, float]:
    """How long a unit of each stage took when it was made before, with whatever parameters; `store` is the run's.

    By units of which nothing was taken over, where there are some.
    """
    found = {}
    for spec in config.specs:
        committed = Committed.of(store.at(spec.name))
        records = [one for unit in sorted(committed.by_unit)[-_LOOKED_AT:] for one in committed.others(unit)[:1]]
        if records:
            made = [record for record in records if not record.taken]
            found[spec.name] = mean(record.seconds for record in made or records)
    return found


def time_left(
    plans: Sequence[StagePlan], jobs: Mapping[str, JobStatus], past: Mapping[str, float], config: RunConfig, now: float
) -> TimeLeft:
    """The longest way through what is left of the graph. `now` is time.time(), `past` is `seconds_by_unit`."""
    ends: dict[str, float] = {}
    unknown = []
    for plan in plans:
        stage, job = plan.spec.name, jobs.get(plan.spec.name)
        begins = max((ends.get(name, 0.0) for name in plan.spec.inputs), default=0.0)
        needs = _needs(plan, job, past.get(stage), config, now)
        if needs is None:
            unknown.append(stage)
        ends[stage] = begins + (needs or 0.0)
    return TimeLeft(max(ends.values(), default=0.0), tuple(unknown))


def _needs(plan: StagePlan, job: JobStatus | None, past: float | None, config: RunConfig, now: float) -> float | None:
    if plan.done or plan.manifest:
        return 0.0
    if job and job.state == "running" and (part := fraction(plan, job)) > _MEANINGFUL_PART:
        return (now - job.started) * (1 - part) / part
    if past is None:
        return None
    at_once = config.resources(plan.spec).parallelism if plan.spec.parallel else 1
    if plan.units is None:
        return past  # as many units as tasks at once is the best guess before they are known
    return past * -(-plan.pending // at_once)


def fraction(plan: StagePlan, job: JobStatus) -> float:
    """How much of what the Job set out to make is made, 0 to 1."""
    begun = sum(min(1.0, one.done / one.total) for one in job.progress if one.total)
    return min(1.0, (job.units + begun) / max(1, plan.pending))


def clock_format(seconds: float) -> str:
    """Seconds as H:MM:SS, or as M:SS below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
