"""What runs a stage's tasks: processes of this machine, or a Kubernetes Job. Both take one JobPlan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """Everything an executor needs to know to run one stage; it imports no worker."""

    name: str  # run, stage and generation
    stage: str
    command: Sequence[str]
    env: Mapping[str, str]
    completions: int
    parallelism: int
    retries: int  # of one index
    deadline_seconds: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one index is with the unit it works on, in what the worker counts."""

    done: float = 0
    total: float | None = None
    what: str = ""


JobState = Literal["running", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a Job stands. `exit_code` and `message` say why it failed."""

    state: JobState
    exit_code: int = 0
    message: str = ""
    units: int = 0  # committed by this Job so far
    samples: int = 0  # in those
    progress: tuple[Progress, ...] = ()  # of the units that are being worked on
    notes: tuple[str, ...] = field(default=())  # what happened since the last look, one line each


class Executor(Protocol):
    """Runs Jobs. Deciding what to run is the controller's business."""

    def submit(self, plan: JobPlan) -> None:
        """Start a Job."""

    def status(self, name: str) -> JobStatus:
        """How a submitted Job stands now."""

    def cancel(self) -> None:
        """Stop everything that runs; what is committed stays."""
