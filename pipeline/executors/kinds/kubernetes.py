"""Indexed Jobs of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.errors import I2PError
from jobs.shards.store import Store
from jobs.shards.store_checks import Check
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.base import Observation
from pipeline.executors.kind import ExecutorKind
from pipeline.executors.kubernetes import operations
from pipeline.executors.kubernetes.client.api import Api
from pipeline.executors.kubernetes.executor import Caller, KubernetesExecutor, scheduled_timestamp
from pipeline.planning.desired_state import DesiredState
from pipeline.planning.job_plan import job_plans
from pipeline.planning.plan import StagePlan, make_plan
from pipeline.planning.run_store import identified, open_run


class Kind(ExecutorKind):
    """The Jobs of one run in one namespace of the cluster that the configuration names."""

    stages_run_here = False
    jobs_outlive_calls = True

    @cached_property
    def _api(self) -> Api:
        cluster = self._config.kubernetes
        return Api.connect(context=cluster.context, namespace=cluster.namespace)

    def executor(self, config: RunConfig) -> KubernetesExecutor:
        return KubernetesExecutor(self._api, open_run(config), config, Caller.of_environment(self._api))

    def config(self) -> RunConfig:
        """With the store's id, by which the run's Jobs are labelled."""
        return identified(self._config)

    def observe(self, plans: Sequence[StagePlan]) -> Observation:
        config = self.config()
        executor = self.executor(config)
        try:
            return executor.observe(job_plans(config, plans))
        finally:
            executor.close()

    def set_desired_state(self, store: Store, desired: DesiredState) -> list[str]:
        done = super().set_desired_state(store, desired)  # for controllers, before anything else
        return done + operations.apply_desired_state(self._api, self.config(), desired)

    def changes(self, plans: Sequence[StagePlan]) -> list[dict[str, str]]:
        return operations.changes(self._api, self.config(), plans)

    def manifests(self, plans: Sequence[StagePlan]) -> Iterator[tuple[StagePlan, list[dict[str, Any]]]]:
        return operations.rendered(self.config(), plans)

    def release(self, node: str) -> list[str]:
        return operations.release(self._api, self.config(), node)

    def checks(self, store: Store) -> Iterator[Check]:
        try:
            rows = self.changes(make_plan(store, self.config()))
        except I2PError as error:
            yield Check("cluster", False, str(error))
            return
        refused = [f"{row['stage']}: {row['dry run']}" for row in rows if row.get("dry run", "accepted") != "accepted"]
        jobs = ", ".join(row["stage"] for row in rows) or "nothing, as all is made"
        accepted = f"{self._api.server} accepts in a dry run in namespace {self._api.namespace}: {jobs}"
        yield Check("cluster", not refused, "; ".join(refused) or accepted)

    def hidden_model(self, stage: str, folder: Path) -> str:
        cluster = self._config.kubernetes
        if cluster.models and folder.is_relative_to(cluster.models_path):
            return ""
        return (
            "Pods do not see it: put it on a volume claim, name that in `kubernetes.models` and the model's folder "
            f"below {cluster.models_path} in `{stage}.model`; or name a repository of the hub with its revision"
        )

    def scheduled_timestamp(self, job: str) -> str | None:
        return scheduled_timestamp(self._api, job)
