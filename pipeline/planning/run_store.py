"""A run's place in the store, in which some stages lead to the datasets of other runs."""

from __future__ import annotations

from typing import Any, cast

from jobs.runtime.environment import store_patience
from jobs.shards.address import open_store
from jobs.shards.identity import proved, read_identity
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig


def open_run(config: RunConfig) -> Store:
    """The run's store; below it `at(STAGE)` is wherever that stage's dataset comes from."""
    root = root_of(config)
    return cast(Store, _RunStore(root, config)) if config.inputs else root.at(config.run)


def root_of(config: RunConfig) -> Store:
    """The store, in which every run is a folder."""
    return open_store(config.store)


def open_address(address: str) -> Store:
    """Any run by the address of its folder."""
    return open_store(address, patience_seconds=store_patience())


def identified(config: RunConfig) -> RunConfig:
    """The configuration with the store's id, where one is noted there; nothing is written."""
    found = read_identity(_patient_root(config))
    return config.of_store(found.id if found else None)


def proven(config: RunConfig) -> RunConfig:
    """The same for a command that writes: the store is proved first, unless it was by way of this endpoint.

    Raises BadConfiguration when the store does not keep what commits need.
    """
    return config.of_store(proved(_patient_root(config)).id)


def _patient_root(config: RunConfig) -> Store:
    return open_store(config.store, patience_seconds=store_patience())


class _RunStore:
    def __init__(self, root: Store, config: RunConfig) -> None:
        self._root, self._own, self._config = root, root.at(config.run), config

    def at(self, path: str) -> Store:
        stage, _, _ = path.partition("/")
        return self._root.at(self._config.origin(stage)).at(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)
