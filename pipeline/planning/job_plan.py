"""The Job that makes what a stage lacks: everything an executor needs to know to run it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.runtime.spec import StageSpec
from jobs.runtime.task_description import TaskDescription
from jobs.shards.digests import digest_of
from pipeline.configuration.resources import Resources
from pipeline.configuration.run_config import RunConfig
from pipeline.planning.plan import StagePlan

_LISTED_UNITS = 500  # a Job that makes fewer than all units names them, up to so many


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """Everything an executor needs to know to run one stage; it imports no worker."""

    task: TaskDescription  # the same for all indexes
    generation: int  # how many Jobs this stage has had in this run, with this one
    resources: Resources
    store_label: str = ""  # what the store is known by in a cluster

    @property
    def stage(self) -> str:
        return self.task.stage

    @property
    def name(self) -> str:
        """By what the run knows the Job: its stage, or the check of a stage."""
        return self.stage if self.task.action == "make" else f"{self.stage}-{self.task.action}"


def job_plans(config: RunConfig, plans: Sequence[StagePlan]) -> dict[str, JobPlan]:
    """For every stage that is ready the Job that makes what it lacks, whether or not it lacks anything."""
    return {plan.spec.name: job_plan(config, plan, 1) for plan in plans if plan.ready}


def job_plan(config: RunConfig, plan: StagePlan, generation: int) -> JobPlan:
    """The Job that makes what a stage lacks."""
    spec, size, params = plan.spec, config.resources(plan.spec), config.params(plan.spec)
    lacking = [unit.unit for unit in plan.units or () if unit.action != "skip"]
    some = 0 < len(lacking) < len(plan.units or ()) and len(lacking) <= _LISTED_UNITS
    task = TaskDescription(
        store=config.store,
        run=config.run,
        stage=spec.name,
        params=params.model_dump(mode="json"),
        settings=digest_of(params.settings()),
        inputs=dict(plan.inputs),
        runs={name: run for name in spec.inputs if (run := config.origin(name)) != config.run},
        units=tuple(lacking) if some else None,
        completions=_completions(plan, size.parallelism, size.pods),
        gang=size.pods > 1 or (spec.gang and size.gpus > 1),
    )
    return JobPlan(task=task, generation=generation, resources=size, store_label=config.store_label)


def taking_over(plan: JobPlan, runs: tuple[str, ...]) -> JobPlan:
    """The same Job, whose workers may take over samples from these other runs, too."""
    return replace(plan, task=plan.task.model_copy(update={"earlier": runs})) if runs else plan


def check_plan(config: RunConfig, spec: StageSpec, inputs: Mapping[str, str], *, parallelism: int) -> JobPlan:
    """The Job that reads back what a stage has published; `inputs` are digests of its own manifest and its inputs'.

    Its generation is the time: what an earlier check has found says nothing of now.
    """
    size = config.resources(spec).model_copy(
        update={"gpus": 0, "pods": 1, "parallelism": parallelism, "retries": 1, "deadline_seconds": None}
    )
    task = TaskDescription(
        store=config.store,
        run=config.run,
        stage=spec.name,
        action="check",
        params={},
        inputs=dict(inputs),
        runs={name: run for name in inputs if (run := config.origin(name)) != config.run},
        completions=parallelism,
    )
    return JobPlan(task=task, generation=int(time.time()), resources=size, store_label=config.store_label)


def _completions(plan: StagePlan, parallelism: int, pods: int) -> int:
    if not plan.spec.parallel:
        return pods
    units = parallelism if plan.units is None else plan.pending
    return max(1, min(parallelism, units))
