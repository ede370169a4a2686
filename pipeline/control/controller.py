"""The controller: observe, decide purely, act idempotently, look again. It can be killed at any point.

Everything it knows it reads again from the store and from the executor; a restarted one, or a second one beside it,
decides the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.errors import TRY_AGAIN, BadConfiguration, I2PError
from jobs.report.formatting import plural
from jobs.shards.dataset import publish_manifest, restore_record
from jobs.shards.records import record_name
from jobs.shards.removal import announced, refuse_announced
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.control.decisions import Action, Finish, Hold, Publish, Replace, Restore, Submit, decide
from pipeline.control.time_left import TimeLeft, seconds_by_unit, time_left
from pipeline.executors.base import Executor, JobStatus, Observation
from pipeline.planning.desired_state import read_desired_state
from pipeline.planning.earlier_runs import earlier_runs
from pipeline.planning.job_plan import job_plan, job_plans, taking_over
from pipeline.planning.plan import StagePlan, make_plan

_LONGEST_WAIT_SECONDS = 30.0  # between two tries while something does not answer


@dataclass(frozen=True, slots=True)
class View:
    """What a display shows after every look."""

    plans: Sequence[StagePlan]
    jobs: Mapping[str, JobStatus]  # each stage's newest
    left: TimeLeft | None = None  # of the whole run


@dataclass(slots=True)
class Controller:
    """One run's loop of observing, deciding and acting."""

    store: Store  # the run's
    config: RunConfig
    executor: Executor
    show: Callable[[View], None] = lambda view: None
    notify: Callable[[str, str], None] = lambda stage, event: None
    renew: Callable[[], None] = lambda: None  # says again and again that this configuration is being run
    repair: bool = False  # read every record, and write those again that are lost
    _submitted: Counter[str] = field(default_factory=Counter)
    _replaced: set[str] = field(default_factory=set)
    _reported: set[tuple[str, int]] = field(default_factory=set)  # failures
    _past: Mapping[str, float] = field(default_factory=dict)  # seconds of a unit, by stage
    _trouble_since: float | None = None

    def run(self) -> Finish:
        """Loop until everything is done or nothing more can be; raises I2PError when a trouble lasts too long."""
        plans: Sequence[StagePlan] | None = None
        ended: set[tuple[str, int]] = set()  # Jobs whose work the plan has seen in the store
        tries = 0
        try:
            while True:
                try:
                    self.renew()
                    if plans is None:
                        self._past = self._past or seconds_by_unit(self.store, self.config)
                        plans = self._plan()
                    seen = self.executor.observe(job_plans(self.config, plans))
                    now_ended = {
                        (name, job.generation)
                        for name, job in seen.jobs.items()
                        if job.state in ("succeeded", "failed")
                    }
                    if now_ended - ended:  # what they made is in the store by now; the plan may be older
                        plans = self._plan()
                    ended, tries = now_ended, 0
                    finish, changed = self._act_on(plans, seen)
                    if finish:
                        return finish
                    if changed:
                        plans = None
                        continue
                    self._trouble_is_over()
                except I2PError as error:
                    self._wait_out(error, tries)
                    tries += 1
                    plans = None
                    continue
                self.executor.wait()
        finally:
            self.executor.close()

    def deploy(self, stage: str, change: Callable[[StagePlan], None]) -> None:
        """Do what is to be done for one stage now, and leave it running.

        `change` hears of the stage before anything is submitted or stopped. Raises BadConfiguration when the stage
        reads something that is not finished, or the run was cancelled.
        """
        noted = False
        while True:
            seen = self.executor.observe(job_plans(self.config, self._plan()))
            plans = self._plan()  # after the look: what has ended by then is in the store
            (plan,) = (one for one in plans if one.spec.name == stage)
            if not plan.ready:
                unfinished = {one.spec.name for one in plans if not one.done}
                waits_for = next(name for name in plan.spec.inputs if name in unfinished)
                raise BadConfiguration(
                    f"{stage} cannot start before {waits_for} is done; deploy that stage first, or "
                    "let `i2p run` do all in order"
                )
            desired = read_desired_state(self.store)
            actions = decide(plans, seen.jobs, submitted=self._submitted, replaced=self._replaced, desired=desired)
            if desired == "cancel" and isinstance(actions[0], Finish):
                raise BadConfiguration(actions[0].message)
            mine = [action for action in actions if getattr(action, "stage", None) == stage]
            if mine and not noted:  # where nothing is to be done, no note is left; else it comes before the plan
                noted = True
                self.renew()
                continue
            for action in mine:
                if isinstance(action, Submit | Replace):
                    change(plan)
                self._act(action, plans, seen)
            job = seen.jobs.get(stage)
            if not mine and not (job and job.state == "ending"):
                return
            self.executor.rest(0.5)

    def _plan(self) -> list[StagePlan]:
        """The plan; raises StoreError while something that it counts on is about to be removed as garbage."""
        removed = {spec.name: announced(self.store.at(spec.name)) for spec in self.config.specs}  # before the look
        plans = make_plan(self.store, self.config, repair=self.repair)
        for plan in plans:
            refuse_announced(removed[plan.spec.name], plan.names, self.store.at(plan.spec.name))
        return plans

    def _act_on(self, plans: Sequence[StagePlan], seen: Observation) -> tuple[Finish | None, bool]:
        """Decide and act; returns the end if there is one, and whether the plan has to be made anew."""
        for stage, note in seen.notes:
            self.notify(stage, note)
        for stage, job in seen.jobs.items():
            if job.state == "failed" and not job.outdated and (stage, job.generation) not in self._reported:
                self._reported.add((stage, job.generation))
                self.notify(stage, f"failed: {job.message}")
        desired = read_desired_state(self.store)
        actions = decide(plans, seen.jobs, submitted=self._submitted, replaced=self._replaced, desired=desired)
        left = time_left(plans, seen.jobs, self._past, self.config, time.time())
        self.show(View(plans, seen.jobs, left))
        for action in actions:
            if isinstance(action, Finish):
                return action, False
            self._act(action, plans, seen)
        return None, any(isinstance(action, Publish | Restore) for action in actions)

    def _act(self, action: Action, plans: Sequence[StagePlan], seen: Observation) -> None:
        if isinstance(action, Publish):
            publish_manifest(self.store.at(action.stage), action.manifest)
            shards, job = action.manifest.shards, seen.jobs.get(action.stage)
            took = f" in {time.time() - job.started:.0f} s" if job and job.started else ""
            self.notify(
                action.stage,
                f"done{took}: {plural(len(shards), 'shard')}, "
                f"{plural(sum(shard.samples for shard in shards), 'sample')}",
            )
        elif isinstance(action, Restore):
            for outcome in action.outcomes:
                restore_record(self.store.at(action.stage), outcome)
                name = record_name(outcome.unit, outcome.fingerprint)
                self.notify(action.stage, f"{name} could not be read: written again, as the manifest has it")
        elif isinstance(action, Submit):
            plan = next(plan for plan in plans if plan.spec.name == action.stage)
            job_plan_ = job_plan(self.config, plan, action.generation)
            if plan.spec.per_sample:
                job_plan_ = taking_over(job_plan_, earlier_runs(self.config, action.stage))
            self.executor.submit(job_plan_)
            self._submitted[action.stage] += 1
            at_once = min(job_plan_.task.completions, job_plan_.resources.parallelism)
            self.notify(
                action.stage,
                f"started: {plan.pending} of {plural(len(plan.units or ()), 'unit')} to make"
                + (f", {at_once} at once" if at_once > 1 else ""),
            )
        elif isinstance(action, Replace):
            self.executor.remove(action.stage)
            self._replaced.add(action.stage)
            self.notify(action.stage, "its Job was submitted with another configuration: stopped, to be submitted anew")
        elif isinstance(action, Hold):
            self.executor.hold(action.stage, suspend=action.suspend)
            self.notify(action.stage, "paused" if action.suspend else "goes on")

    def _wait_out(self, error: I2PError, tries: int) -> None:
        """Sleep before the next try if the error is one that time may fix; raises it where it is not."""
        now = time.monotonic()
        self._trouble_since = since = self._trouble_since or now
        if error.exit_code != TRY_AGAIN or now - since >= self.executor.patience_seconds:
            raise error
        if tries == 0:
            self.notify("", f"{error}; Jobs go on, trying again")
        # a server's gate knows when it opens; a delay of our own would sleep past that
        self.executor.rest(error.retry_in or min(_LONGEST_WAIT_SECONDS, 2.0**tries))

    def _trouble_is_over(self) -> None:
        if self._trouble_since is not None:
            self.notify("", f"goes on after {time.monotonic() - self._trouble_since:.0f} s")
            self._trouble_since = None
