"""One call of the command line: what was asked, the configuration that it chose, and where that runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobs.catalog import stage_named
from jobs.errors import BadConfiguration
from jobs.shards.store import Store
from pipeline.cli.terminal import json_text, printable
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.base import Executor, Observation
from pipeline.executors.local import LocalExecutor
from pipeline.planning.job_plan import job_plans
from pipeline.planning.plan import StagePlan
from pipeline.planning.run_store import identified, open_run

if TYPE_CHECKING:
    from pipeline.executors.kubernetes.client.api import Api


@dataclass(frozen=True)
class Call:
    """The arguments and the configuration; the rest is opened when a command first needs it."""

    args: argparse.Namespace
    given: RunConfig

    @cached_property
    def config(self) -> RunConfig:
        """The configuration; on a cluster it knows the store's id, by which that run's Jobs are labelled."""
        return identified(self.given) if self.on_cluster else self.given

    @cached_property
    def store(self) -> Store:
        """The run's."""
        return open_run(self.given)

    @property
    def on_cluster(self) -> bool:
        return self.given.executor == "kubernetes"

    @cached_property
    def api(self) -> Api:
        """The cluster; raises BadConfiguration when the run is not on one."""
        if not self.on_cluster:
            raise BadConfiguration(f"{self.args.name} is about a run on a cluster: add --executor kubernetes")
        from pipeline.executors.kubernetes.executor import connect  # with what it needs half a second

        return connect(self.config)

    @property
    def stage(self) -> str:
        """The stage that was named; raises BadConfiguration when there is none of that name."""
        return stage_named(self.args.stage).name

    def executor(self, config: RunConfig | None = None) -> Executor:
        """What runs the tasks of this run, or of another one at the same place."""
        if not self.on_cluster:
            return LocalExecutor(remote_store="://" in (config or self.config).store)
        from pipeline.executors.kubernetes.executor import Caller, KubernetesExecutor

        config = config or self.config
        return KubernetesExecutor(self.api, open_run(config), config, Caller.of_environment(self.api))

    def observed(self, plans: Sequence[StagePlan]) -> Observation:
        """What runs, as far as this call can see it: on one machine every call has only processes of its own."""
        if not self.on_cluster:
            return Observation({})
        executor = self.executor()
        try:
            return executor.observe(job_plans(self.config, plans))
        finally:
            executor.close()

    def answer(self, value: Any, text: str) -> None:
        """Print a report, as JSON if that was asked for."""
        print(json_text(value, indent=2) if self.args.json else printable(text))
