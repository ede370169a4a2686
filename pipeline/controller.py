"""The controller: observe the store, decide purely, act idempotently, look again. It can be killed at any point.

Everything it knows it reads again from the store; a restarted one, or a second one beside it, decides the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.errors import OK, TRY_AGAIN
from jobs.runtime.task import TASK_VARIABLE, TaskDescription
from jobs.shards.dataset import publish_manifest
from jobs.shards.records import Manifest
from jobs.shards.store import Store
from pipeline.config import RunConfig
from pipeline.executors import Executor, JobPlan, JobStatus
from pipeline.plan import StagePlan, make_plan

_LOOK_SECONDS = 0.5
_GENERATIONS = 3  # Jobs for one stage of a run; more means that what they commit does not stay


@dataclass(frozen=True, slots=True)
class Submit:
    """Start a Job for what a stage lacks."""

    stage: str
    generation: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Write the manifest of a stage that is whole."""

    stage: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do, or nothing more can be done."""

    exit_code: int
    message: str = ""


Action = Submit | Publish | Wait | Finish


def decide(plans: Sequence[StagePlan], jobs: Mapping[str, JobStatus], generations: Mapping[str, int]) -> list[Action]:
    """What to do now, from the plan, the Jobs of this controller and how many each stage has had.

    A failed stage stops what depends on it and nothing else; the run ends when nothing runs any more.
    """
    actions: list[Action] = []
    failures: list[tuple[str, JobStatus]] = []
    for plan in plans:
        stage = plan.spec.name
        job = jobs.get(stage)
        if job and job.state == "running":
            actions.append(Wait())
        elif plan.done:
            continue
        elif plan.manifest:
            actions.append(Publish(stage, plan.manifest))
        elif job and job.state == "failed":
            failures.append((stage, job))
        elif plan.ready and generations.get(stage, 0) >= _GENERATIONS:
            message = f"{_GENERATIONS} Jobs ended well, but {plan.pending} units are still not committed"
            failures.append((stage, JobStatus("failed", TRY_AGAIN, message)))
        elif plan.ready:
            actions.append(Submit(stage, generations.get(stage, 0) + 1))
    if actions or not failures:
        return actions or [Finish(OK)]
    stage, job = failures[0]
    return [Finish(job.exit_code, f"{stage}: {job.message}")]


@dataclass(frozen=True, slots=True)
class View:
    """What a display shows after every look."""

    plans: Sequence[StagePlan]
    jobs: Mapping[str, JobStatus]  # of stages that run
    started: Mapping[str, float]  # time.monotonic() when this controller submitted a stage's Job


@dataclass(slots=True)
class Controller:
    """One run's loop of observing, deciding and acting."""

    store: Store  # the run's
    config: RunConfig
    executor: Executor
    show: Callable[[View], None] = lambda view: None
    tell: Callable[[str, str], None] = lambda stage, event: None
    _names: dict[str, str] = field(default_factory=dict)  # of the Jobs that run
    _failed: dict[str, JobStatus] = field(default_factory=dict)
    _generations: Counter[str] = field(default_factory=Counter)
    _started: dict[str, float] = field(default_factory=dict)

    def run(self) -> Finish:
        """Loop until everything is done or nothing more can be; stops the tasks when it is interrupted."""
        plans = make_plan(self.store, self.config)
        try:
            while True:
                jobs = {stage: self.executor.status(name) for stage, name in self._names.items()}
                if self._take_note(jobs):
                    plans = make_plan(self.store, self.config)
                actions = decide(plans, {stage: jobs[stage] for stage in self._names} | self._failed, self._generations)
                for action in actions:
                    if isinstance(action, Finish):
                        self.show(View(plans, {}, self._started))
                        return action
                    self._act(action, plans)
                if any(isinstance(action, Publish) for action in actions):
                    plans = make_plan(self.store, self.config)
                else:
                    self.show(
                        View(plans, {stage: jobs[stage] for stage in self._names if stage in jobs}, self._started)
                    )
                    time.sleep(_LOOK_SECONDS)
        finally:
            self.executor.cancel()

    def _take_note(self, jobs: Mapping[str, JobStatus]) -> bool:
        """Tell what happened to Jobs; True if one ended, so that the plan has to be made anew."""
        ended = False
        for stage, job in jobs.items():
            for note in job.notes:
                self.tell(stage, note)
            if job.state != "running":
                ended = True
                del self._names[stage]
            if job.state == "failed":
                self._failed[stage] = job
                self.tell(stage, f"failed: {job.message}")
        return ended

    def _act(self, action: Action, plans: Sequence[StagePlan]) -> None:
        if isinstance(action, Publish):
            publish_manifest(self.store.at(action.stage), action.manifest)
            shards = action.manifest.shards
            took = (
                f" in {time.monotonic() - self._started[action.stage]:.0f} s" if action.stage in self._started else ""
            )
            self.tell(action.stage, f"done{took}: {_count(len(shards), 'shard')}, "
                                    f"{_count(sum(shard.samples for shard in shards), 'sample')}")  # fmt: skip
        elif isinstance(action, Submit):
            plan = next(plan for plan in plans if plan.spec.name == action.stage)
            job = job_plan(self.config, plan, plans, action.generation)
            self._generations[action.stage] = action.generation
            self._names[action.stage] = job.name
            self._started.setdefault(action.stage, time.monotonic())
            self.executor.submit(job)
            at_once = min(job.completions, job.parallelism)
            self.tell(action.stage, f"started: {plan.pending} of {_count(len(plan.units or ()), 'unit')} to make"
                                    + (f", {at_once} at once" if at_once > 1 else ""))  # fmt: skip


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def job_plan(config: RunConfig, plan: StagePlan, plans: Sequence[StagePlan], generation: int) -> JobPlan:
    """The Job that makes what a stage lacks."""
    spec, resources = plan.spec, config.resources(plan.spec)
    published = {other.spec.name: other.published for other in plans}
    task = TaskDescription(
        store=config.store,
        run=config.run,
        stage=spec.name,
        params=config.params(spec).model_dump(mode="json"),
        inputs={name: manifest.digest for name in spec.inputs if (manifest := published[name])},
        completions=min(resources.parallelism, plan.pending) if spec.parallel else 1,
    )
    return JobPlan(
        name=f"{config.run}-{spec.name}-{generation}",
        stage=spec.name,
        command=("python", "-m", "jobs"),
        env={TASK_VARIABLE: task.encode()},
        completions=task.completions,
        parallelism=resources.parallelism,
        retries=resources.retries,
        deadline_seconds=resources.deadline_seconds,
    )
