"""Runs a stage's tasks as processes of this machine, under the same contract that a Kubernetes Job has.

Exit code 0 is success; 65 fails its index and lets the others go on; 78 fails the whole Job at once; anything else
is tried again, with growing waits, as often as the plan says.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, OK, STORE_AWAY, TRY_AGAIN
from jobs.runtime.environment import ATTEMPT_VARIABLE, END_WITH_PARENT_VARIABLE, INDEX_VARIABLE, TASK_VARIABLE
from jobs.runtime.events import event_in
from jobs.runtime.task import new_attempt
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.attempts import Attempt, counted
from pipeline.executors.base import JobState, JobStatus, Observation, Progress
from pipeline.executors.kind import ExecutorKind
from pipeline.planning.job_plan import JobPlan

_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 20.0
_LONGEST_WAIT_SECONDS = 30.0
_PATIENCE_SECONDS = 3600.0  # as long as its workers wait for a store


class Kind(ExecutorKind):
    """Processes of this machine: a call of the command line sees only its own."""

    def executor(self, config: RunConfig) -> LocalExecutor:
        return LocalExecutor(remote_store="://" in config.store)


class LocalExecutor:
    """Processes of this machine; they end when this process does, however it ends.

    Nothing is waited for before anything was started, so that a wrong address is reported at once. From then on a store
    that can be away, unlike a folder, is waited for as its workers do.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "jobs"), *, remote_store: bool = False) -> None:
        self._command, self._remote_store = command, remote_store
        self._jobs: dict[str, _Job] = {}  # by the plan's name

    at_once = os.cpu_count() or 1

    @property
    def patience_seconds(self) -> float:
        return _PATIENCE_SECONDS if self._remote_store and self._jobs else 0.0

    def observe(self, plans: Mapping[str, JobPlan]) -> Observation:
        jobs = {stage: job.look() for stage, job in self._jobs.items()}
        notes = tuple((stage, note) for stage, job in self._jobs.items() for note in job.take_notes())
        return Observation(jobs, notes)

    def submit(self, plan: JobPlan) -> None:
        if plan.task.gang:  # here one process does a gang's work
            plan = replace(plan, task=plan.task.model_copy(update={"gang": False, "completions": 1}))
        if plan.task.action == "check":  # what it says is read from its output, and nothing is written to the store
            plan = replace(plan, task=plan.task.model_copy(update={"ship_logs": False}))
        self._jobs[plan.name] = _Job(plan, self._command, [_Index(number) for number in range(plan.task.completions)])

    def remove(self, stage: str) -> None:
        self._jobs.pop(stage).stop()

    def hold(self, stage: str, *, suspend: bool) -> None:
        """Never asked: processes of this machine are not suspended, a paused run only starts no further stage."""

    def wait(self) -> None:
        time.sleep(_LOOK_SECONDS)

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        for job in self._jobs.values():
            job.stop()


@dataclass(slots=True)
class _Index:
    """One index of a Job and its attempts."""

    number: int
    process: _Process | None = None
    attempts: int = 0
    not_before: float = 0.0
    exit_code: int | None = None  # the final one
    message: str = ""


@dataclass(slots=True)
class _Job:
    plan: JobPlan
    command: Sequence[str]
    indexes: list[_Index]
    started: float = field(default_factory=time.time)
    ended: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def look(self) -> JobStatus:
        """Take note of what ended, start what may start, and say how the Job stands."""
        for index in self.indexes:
            if index.process and (code := index.process.poll()) is not None:
                self._ended(index, code)
        fatal = next((index for index in self.indexes if index.exit_code == BAD_CONFIGURATION), None)
        deadline = self.plan.resources.deadline_seconds
        late = deadline and time.time() - self.started > deadline
        if fatal or late:
            self.stop()
            message = fatal.message if fatal else f"not done by its deadline of {deadline} s"
            return self._status("failed", BAD_CONFIGURATION if fatal else TRY_AGAIN, message)
        self._start()
        if any(index.exit_code is None for index in self.indexes):
            return self._status("running")
        failed = [index for index in self.indexes if index.exit_code != OK]
        if not failed:
            return self._status("succeeded")
        worst = next((index for index in failed if index.exit_code == BAD_DATA), failed[0])
        others = f" ({len(failed)} of {len(self.indexes)} indexes failed)" if len(self.indexes) > 1 else ""
        return self._status("failed", worst.exit_code or TRY_AGAIN, worst.message + others)

    def take_notes(self) -> list[str]:
        """What happened since this was asked last."""
        notes, self.notes = self.notes, []
        return notes

    def stop(self) -> None:
        """Ask all processes to stop, and end those that do not within the grace period."""
        running = [index.process for index in self.indexes if index.process]
        for process in running:
            process.popen.terminate()
        until = time.monotonic() + _GRACE_SECONDS
        for process in running:
            try:
                process.popen.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()

    def _start(self) -> None:
        free = self.plan.resources.parallelism - sum(index.process is not None for index in self.indexes)
        for index in self.indexes:
            waiting = index.process is None and index.exit_code is None and time.monotonic() >= index.not_before
            if waiting and free > 0:
                index.process = _Process(self.plan, self.command, index.number)
                index.attempts += 1
                free -= 1

    def _ended(self, index: _Index, code: int) -> None:
        assert index.process is not None  # noqa: S101 - only called for one that ran
        message = index.process.reason(code)
        self.ended.append(index.process.attempt)
        index.process = None
        if code in (OK, BAD_DATA, BAD_CONFIGURATION):
            index.exit_code, index.message = code, message
        elif index.attempts > self.plan.resources.retries:
            last = STORE_AWAY if code == STORE_AWAY else TRY_AGAIN
            index.exit_code, index.message = last, f"{message} (tried {index.attempts} times)"
        else:
            wait = random.uniform(0.5, 1) * min(2.0 ** (index.attempts - 1), _LONGEST_WAIT_SECONDS)  # noqa: S311
            index.not_before = time.monotonic() + wait
            self.notes.append(f"index {index.number} is tried again in {wait:.0f} s: {message}")

    def _status(self, state: JobState, exit_code: int = OK, message: str = "") -> JobStatus:
        running = [index.process for index in self.indexes if index.process]
        attempts = [*self.ended, *(process.attempt for process in running)]
        return JobStatus(
            state=state,
            generation=self.plan.generation,
            exit_code=exit_code,
            message=message,
            started=self.started,
            units=sum(attempt.units for attempt in attempts),
            samples=sum(attempt.samples for attempt in attempts),
            progress=tuple(process.attempt.progress or Progress() for process in running),
            counts=counted(attempts),
            active=len(running),
        )


class _Process:
    """One attempt at one index, and what it says of itself."""

    def __init__(self, plan: JobPlan, command: Sequence[str], index: int) -> None:
        env: Mapping[str, str] = {
            **os.environ,
            TASK_VARIABLE: plan.task.to_variable(),
            INDEX_VARIABLE: str(index),
            ATTEMPT_VARIABLE: new_attempt(),
            END_WITH_PARENT_VARIABLE: "1",
        }
        self.popen = subprocess.Popen(  # noqa: S603 - the command is the controller's own
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.attempt = Attempt(index)
        self.tail: deque[str] = deque(maxlen=20)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def poll(self) -> int | None:
        """The exit code once the process ended and everything it said was read."""
        code = self.popen.poll()
        if code is not None:
            self.reader.join(1)
        return code

    def reason(self, code: int) -> str:
        """Why it ended, as it said itself if it did."""
        if self.attempt.error:
            return self.attempt.error
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = "; killed from outside, or out of memory" if code == -9 else ""
        return f"ended by {cause}{hint}" + (f"; it said last: {self.tail[-1]}" if self.tail else "")

    def _read(self) -> None:
        assert self.popen.stderr is not None  # noqa: S101 - it is a pipe
        for line in self.popen.stderr:
            event = event_in(line)
            if event is None:
                self.tail.append(line.rstrip())
            else:
                self.attempt.see(event)
