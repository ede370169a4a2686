"""Which configurations are being run at this moment: what they reach is not garbage, though no manifest names it yet.

live/<id>.json    a running controller's configuration, written again every ten minutes, deleted at its end
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

from pydantic import JsonValue, TypeAdapter

from jobs.errors import I2PError, NotFound
from jobs.shards.digests import canonical_json
from jobs.shards.removal import age
from jobs.shards.store import Store
from jobs.shards.strict_json import decode
from pipeline.configuration.run_config import RunConfig, check_config

FOLDER = "live/"
_RENEWED_SECONDS = 600.0

_VALUES: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class LiveNote:
    """One controller's word that it runs a configuration. `store` is the run's."""

    def __init__(self, store: Store, config: RunConfig) -> None:
        self._store, self._name = store, f"{FOLDER}{uuid.uuid4().hex[:16]}.json"
        self._body = canonical_json(config.model_dump(mode="json"))
        self._renewed = float("-inf")

    def renew(self) -> None:
        """Say it again if the last time is ten minutes ago."""
        if time.monotonic() - self._renewed >= _RENEWED_SECONDS:
            self._store.put(self._name, self._body)
            self._renewed = time.monotonic()

    def withdraw(self) -> None:
        """It is not run any more. Where that cannot be said, the note soon is too old to count."""
        with suppress(I2PError):
            self._store.delete(self._name)


def remove_old_notes(store: Store, *, older_than_seconds: float) -> None:
    """Delete the notes of controllers that ended without withdrawing theirs."""
    for stat in store.list(FOLDER):
        if age(stat) >= older_than_seconds:
            store.delete(stat.name)


def live_configs(store: Store, *, younger_than_seconds: float) -> Iterator[RunConfig]:
    """The configurations that somebody runs, of notes so young.

    Raises Corrupt or BadConfiguration for a damaged one.
    """
    for stat in store.list(FOLDER):
        if age(stat) < younger_than_seconds:
            with suppress(NotFound):  # withdrawn since
                values = decode(_VALUES, store.read(stat.name).data, f"{store.url}/{stat.name}", "a configuration")
                yield check_config(values)
