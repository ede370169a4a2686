"""How long a worker waits for a store that is away: its work so far is worth more than the time."""

from __future__ import annotations

import math
import os

from jobs.errors import BadConfiguration

PATIENCE_VARIABLE = "I2P_STORE_PATIENCE_SECONDS"
TASK_VARIABLE = "I2P_TASK"
_WORKERS_SECONDS = 3600.0  # of an outage; a retry would find the same, and of retries there are few


def store_patience() -> float:
    """Seconds: in a worker what the environment says, or an hour; elsewhere 0, a controller has a loop of its own.

    Raises BadConfiguration.
    """
    if TASK_VARIABLE not in os.environ:
        return 0.0
    told = os.environ.get(PATIENCE_VARIABLE)
    if told is None:
        return _WORKERS_SECONDS
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadConfiguration(f"{PATIENCE_VARIABLE}: seconds are required, 0 or more; given {told!r}")
    return seconds
