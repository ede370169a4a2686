"""What `executor` of a configuration names: a kind of executor, in a file of kinds/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.errors import BadConfiguration
from jobs.registry import load
from jobs.shards.store import Store
from jobs.shards.store_checks import Check
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.base import Executor, Observation
from pipeline.planning.desired_state import DesiredState, write_desired_state
from pipeline.planning.plan import StagePlan

KINDS = "pipeline.executors.kinds"


class ExecutorKind:
    """Opens the executor of a run, and answers what commands ask beside that.

    Only `executor` must be defined. What else is here holds of a kind that has no Jobs but those of its own process.
    """

    stages_run_here = True
    """Whether this machine's GPUs and packages are those of the stages."""

    jobs_outlive_calls = False
    """Whether a Job goes on when the call that submitted it ends, so that a stage can be deployed."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def executor(self, config: RunConfig) -> Executor:
        """What runs the tasks of this kind's run, or of another one of the same store."""
        raise NotImplementedError

    def config(self) -> RunConfig:
        """The run's configuration, with what its Jobs are known by."""
        return self._config

    def observe(self, plans: Sequence[StagePlan]) -> Observation:
        """The Jobs that run now, whoever submitted them."""
        return Observation({})

    def set_desired_state(self, store: Store, desired: DesiredState) -> list[str]:
        """Store what is wanted of the run's controllers, and act on its Jobs at once; one line for each of these."""
        write_desired_state(store, desired)
        return []

    def changes(self, plans: Sequence[StagePlan]) -> list[dict[str, str]] | None:
        """What submitting would change: {stage, job, change, dry run, difference}; None where that is not known."""
        return None

    def manifests(self, plans: Sequence[StagePlan]) -> Iterator[tuple[StagePlan, list[dict[str, Any]]]]:
        """Every object that a run would submit now, by stage; raises BadConfiguration."""
        raise no_cluster("render")

    def release(self, node: str) -> list[str]:
        """Let the indexes that hang on a dead node start elsewhere; their names. Raises BadConfiguration."""
        raise no_cluster("release")

    def checks(self, store: Store) -> Iterator[Check]:
        """What `i2p doctor` proves of the place where the stages run."""
        return iter(())

    def hidden_model(self, stage: str, folder: Path) -> str:
        """Why the stage does not see a model in a folder of this machine; empty where it does."""
        return ""

    def scheduled_timestamp(self, job: str) -> str | None:
        """When a scheduler wanted a Job of that name to run; None where there is no such Job."""
        return None


def no_cluster(command: str) -> BadConfiguration:
    """The refusal of a command that only a kind with Jobs in a cluster can do."""
    return BadConfiguration(f"{command} is about a run on a cluster: add --executor kubernetes")


def kind_of(config: RunConfig) -> ExecutorKind:
    """The kind of executor that a configuration names; raises BadConfiguration."""
    kind: ExecutorKind = load(KINDS, config.executor, "Kind")(config)
    return kind
