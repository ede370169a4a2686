"""The other runs of a store that have made a stage before."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from jobs.errors import BadConfiguration
from pipeline.configuration.run_config import RunConfig
from pipeline.planning.run_store import root_of

_AT_ONCE = 16  # listings; on S3 each costs a round trip
_MOST = 32  # runs whose records a worker reads, each with a few thousand
_NAME = re.compile(r"[a-z0-9-]{1,48}")


def earlier_runs(config: RunConfig, stage: str) -> tuple[str, ...]:
    """The names of other runs with records of the stage, the one with the newest first, 32 at most; raises StoreError.

    None where the store's other folders may not be listed.
    """
    root = root_of(config)

    def newest(run: str) -> float | None:
        records = root.at(run).at(stage).list("commits/")
        return max((record.modified or 0.0 for record in records), default=None)

    try:
        runs = [name for name in root.folders() if name != config.run and _NAME.fullmatch(name)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = {run: time for run, time in zip(runs, pool.map(newest, runs), strict=True) if time is not None}
    except BadConfiguration:
        return ()
    return tuple(sorted(found, key=lambda run: (-found[run], run))[:_MOST])
