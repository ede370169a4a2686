"""What runs a stage's tasks: processes of this machine, or a Kubernetes Job. All take one JobPlan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.planning.job_plan import JobPlan


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one index is with the unit it works on, in what the worker counts."""

    done: float = 0
    total: float | None = None
    what: str = ""


JobState = Literal["running", "ending", "succeeded", "failed"]  # ending: it was stopped, and its tasks still tidy up


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """How a stage's newest Job stands. `exit_code` and `message` say why it failed."""

    state: JobState
    generation: int = 1
    exit_code: int = 0
    message: str = ""
    started: float = 0.0  # time.time() of its submission
    units: int = 0  # committed by this Job so far
    samples: int = 0  # in those
    progress: tuple[Progress, ...] = ()  # of the units that are being worked on
    active: int = 0  # tasks that run now
    suspended: bool | None = None  # None where that is not the controller's to say
    waiting: str = ""  # in words, why tasks that could run do not
    outdated: bool = False  # it was submitted with another configuration than this controller's
    counts: Mapping[str, int] = field(default_factory=dict)  # of what a check has read


@dataclass(frozen=True, slots=True)
class Observation:
    """What an executor sees in one look: each stage's or check's newest Job, and what happened since the last look."""

    jobs: Mapping[str, JobStatus]
    notes: tuple[tuple[str, str], ...] = ()  # (stage, one line)


class Executor(Protocol):
    """Runs Jobs. Deciding what to run is the controller's business."""

    @property
    def at_once(self) -> int | None:
        """How many tasks should run at the same time; None where Jobs wait by themselves until there are resources."""

    @property
    def patience_seconds(self) -> float:
        """How long a server that does not answer is waited for."""

    def observe(self, plans: Mapping[str, JobPlan]) -> Observation:
        """How the Jobs of the run stand now; `plans` are the Jobs that would be submitted now, by stage."""

    def submit(self, plan: JobPlan) -> None:
        """Start a Job; nothing happens where there is one of that name."""

    def remove(self, stage: str) -> None:
        """Stop the stage's newest Job and forget it."""

    def hold(self, stage: str, *, suspend: bool) -> None:
        """Suspend the stage's newest Job, or let it go on."""

    def wait(self) -> None:
        """Sleep until it is time to look again."""

    def rest(self, seconds: float) -> None:
        """Sleep because something does not answer."""

    def close(self) -> None:
        """This controller ends. What is committed stays."""
