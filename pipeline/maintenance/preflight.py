"""What a run needs before it starts: a store that keeps the commit protocol, sources, models and packages in reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jobs.errors import I2PError
from jobs.runtime.models import ModelParams, locate
from jobs.runtime.spec import TorchParams
from jobs.shards import store_checks
from jobs.shards.address import open_store
from jobs.shards.identity import identity_check
from jobs.shards.store import Store
from jobs.shards.store_checks import Check
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.kind import ExecutorKind


def examine(store: Store, config: RunConfig, kind: ExecutorKind) -> Iterator[Check]:
    """Every check in turn; the store's write below it and clean up after themselves."""
    yield from store_checks.examine(store)
    yield _identity(config)
    for spec in config.specs:
        params = config.params(spec)
        yield from params.preconditions()
        if isinstance(params, ModelParams) and params.needs_model:
            yield _model(spec.name, params, kind)
        if isinstance(params, TorchParams) and params.device == "cuda" and kind.stages_run_here:
            yield _gpu(spec.name)
    yield from kind.checks(store)


def _identity(config: RunConfig) -> Check:
    try:
        return identity_check(open_store(config.store))
    except I2PError as error:
        return Check("identity", False, str(error))


def _model(stage: str, params: ModelParams, kind: ExecutorKind) -> Check:
    try:
        name, revision = locate(params)
    except I2PError as error:
        return Check(f"model of {stage}", False, str(error))
    if not revision and (hidden := kind.hidden_model(stage, Path(name))):
        return Check(f"model of {stage}", False, f"{params.model} is here, but {hidden}")
    where = f"is pinned to {revision[:12]}… of the hub, which is not asked now" if revision else f"is in {name}"
    return Check(f"model of {stage}", True, f"{params.model} {where}")


def _gpu(stage: str) -> Check:
    there = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()  # the driver's, also in containers and WSL
    detail = "this machine has one" if there else f"{stage} asks for `device: cuda`, but this machine shows no GPU"
    return Check(f"GPU for {stage}", there, detail)
