"""How long a worker waits for a store that is away: its work so far is worth more than the time.

So does a controller that runs in the cluster, where it begins: nobody looks, and each restart of its Pod is counted.
"""

from __future__ import annotations

import math
import os

from jobs.errors import BadConfiguration

PATIENCE_VARIABLE = "I2P_STORE_PATIENCE_SECONDS"
TASK_VARIABLE = "I2P_TASK"
INVOCATION_VARIABLE = "I2P_INVOCATION"  # set by the charts, for a controller in the cluster
_SECONDS = 3600.0  # of an outage; a retry would find the same, and of retries there are few


def store_patience() -> float:
    """Seconds: in Pods of a run what the environment says, or an hour; 0 elsewhere. Raises BadConfiguration."""
    if not {TASK_VARIABLE, INVOCATION_VARIABLE} & os.environ.keys():
        return 0.0
    told = os.environ.get(PATIENCE_VARIABLE)
    if told is None:
        return _SECONDS
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadConfiguration(f"{PATIENCE_VARIABLE}: seconds are required, 0 or more; given {told!r}")
    return seconds
