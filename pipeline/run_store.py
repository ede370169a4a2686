"""A run's place in the store, in which some stages lead to the datasets of other runs."""

from __future__ import annotations

from typing import Any, cast

from jobs.shards.address import open_store
from jobs.shards.store import Store
from pipeline.config import RunConfig


def open_run(config: RunConfig) -> Store:
    """The run's store; below it `at(STAGE)` is wherever that stage's dataset comes from."""
    root = open_store(config.store)
    return cast(Store, _RunStore(root, config)) if config.inputs else root.at(config.run)


class _RunStore:
    def __init__(self, root: Store, config: RunConfig) -> None:
        self._root, self._own, self._config = root, root.at(config.run), config

    def at(self, path: str) -> Store:
        stage, _, _ = path.partition("/")
        return self._root.at(self._config.origin(stage)).at(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)
