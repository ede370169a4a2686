"""What a run needs before it starts: a store that keeps the commit protocol, sources, models and packages in reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import I2PError
from jobs.runtime.models import ModelParams, locate
from jobs.runtime.spec import TorchParams
from jobs.shards import store_checks
from jobs.shards.address import open_store
from jobs.shards.identity import identity_check
from jobs.shards.store import Store
from jobs.shards.store_checks import Check
from pipeline.configuration.run_config import RunConfig
from pipeline.planning.plan import make_plan

if TYPE_CHECKING:
    from pipeline.configuration.resources import Kubernetes
    from pipeline.executors.kubernetes.client.api import Api


def examine(store: Store, config: RunConfig, api: Api | None = None) -> Iterator[Check]:
    """Every check in turn; the store's write below it and clean up after themselves.

    `api` is the cluster's where stages run on one: then its nodes are not this machine, and it is asked instead.
    """
    yield from store_checks.examine(store)
    yield _identity(config)
    for spec in config.specs:
        params = config.params(spec)
        yield from params.preconditions()
        if isinstance(params, ModelParams) and params.needs_model:
            yield _model(spec.name, params, config.kubernetes if api else None)
        if isinstance(params, TorchParams) and params.device == "cuda" and api is None:
            yield _gpu(spec.name)
    if api:
        yield _jobs_can_be_submitted(api, store, config)


def _jobs_can_be_submitted(api: Api, store: Store, config: RunConfig) -> Check:
    from pipeline.executors.kubernetes import operations

    try:
        answers = operations.changes(api, config, make_plan(store, config))
    except I2PError as error:
        return Check("cluster", False, str(error))
    refused = [f"{row['stage']}: {row['dry run']}" for row in answers if row.get("dry run", "accepted") != "accepted"]
    jobs = ", ".join(row["stage"] for row in answers) or "nothing, as all is made"
    accepted = f"{api.server} accepts in a dry run in namespace {api.namespace}: {jobs}"
    return Check("cluster", not refused, "; ".join(refused) or accepted)


def _identity(config: RunConfig) -> Check:
    try:
        return identity_check(open_store(config.store))
    except I2PError as error:
        return Check("identity", False, str(error))


def _model(stage: str, params: ModelParams, cluster: Kubernetes | None) -> Check:
    try:
        name, revision = locate(params)
    except I2PError as error:
        return Check(f"model of {stage}", False, str(error))
    if cluster and not revision and not (cluster.models and Path(name).is_relative_to(cluster.models_path)):
        return Check(
            f"model of {stage}",
            False,
            f"{params.model} is here, but Pods do not see it: put it on a volume "
            f"claim, name that in `kubernetes.models` and the model's folder below {cluster.models_path} in "
            f"`{stage}.model`; or name a repository of the hub with its revision",
        )
    where = f"is pinned to {revision[:12]}… of the hub, which is not asked now" if revision else f"is in {name}"
    return Check(f"model of {stage}", True, f"{params.model} {where}")


def _gpu(stage: str) -> Check:
    there = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()  # the driver's, also in containers and WSL
    detail = "this machine has one" if there else f"{stage} asks for `device: cuda`, but this machine shows no GPU"
    return Check(f"GPU for {stage}", there, detail)
