"""Every environment variable that the controller, the charts and workers exchange, and how long Pods wait for a store.

The names of the variables stand here and nowhere else in Python. The charts' templates have them from here, too:
`make charts` writes them.
"""

from __future__ import annotations

import math
import os
import re

from jobs.errors import BadConfiguration

# Of a task's process
TASK_VARIABLE = "I2P_TASK"  # the description, see jobs/runtime/task.py
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"  # Kubernetes sets it for an Indexed Job, the local executor likewise
ATTEMPT_VARIABLE = "I2P_ATTEMPT"  # a name without a dot, which sets off the number of a process in its Pod
TERMINATION_VARIABLE = "I2P_TERMINATION_LOG"  # the file of the container's terminationMessagePath
MASTER_VARIABLE = "I2P_MASTER"  # HOST:PORT of rank 0 of a gang, the first Pod's name in a headless Service
PROCESSES_VARIABLE = "I2P_PROCESSES"  # of a gang in each Pod, one for each of its GPUs
END_WITH_PARENT_VARIABLE = "I2P_END_WITH_PARENT"  # not empty: the process ends when its standard input is closed

# Of a controller in the cluster, set by the charts
INVOCATION_VARIABLE = "I2P_INVOCATION"  # the uid of its Job
JOB_NAME_VARIABLE = "I2P_JOB_NAME"
OWNER_VARIABLE = "I2P_OWNER_CONFIG_MAP"  # the ConfigMap that owns the stages' Jobs; its own Job does where it is unset

# Of both, to be set by whoever runs them
PATIENCE_VARIABLE = "I2P_STORE_PATIENCE_SECONDS"
PRIVATE_HOSTS_VARIABLE = "I2P_PRIVATE_HOSTS"  # HOST:PORT,… that https:// may ask though their addresses are not public

_SECONDS = 3600.0  # of an outage; a retry would find the same, and of retries there are few


def store_patience() -> float:
    """Seconds: in Pods of a run what the environment says, or an hour; 0 elsewhere. Raises BadConfiguration.

    A worker's work so far is worth more than the time. A controller that starts in the cluster waits likewise: nobody
    looks, and each restart of its Pod is counted.
    """
    if not {TASK_VARIABLE, INVOCATION_VARIABLE} & os.environ.keys():
        return 0.0
    given = os.environ.get(PATIENCE_VARIABLE)
    if given is None:
        return _SECONDS
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadConfiguration(f"{PATIENCE_VARIABLE}: seconds are required, 0 or more; given {given!r}")
    return seconds


def private_hosts() -> frozenset[str]:
    """HOST:PORT of the servers that sources may ask though they are in a private network; raises BadConfiguration."""
    given = os.environ.get(PRIVATE_HOSTS_VARIABLE, "")
    hosts = frozenset(one.strip().lower() for one in given.split(",") if one.strip())
    if wrong := sorted(one for one in hosts if not re.fullmatch(r"[^/@]+:\d+", one)):
        raise BadConfiguration(
            f"{PRIVATE_HOSTS_VARIABLE}: HOST:PORT is required, several with commas between; given {wrong[0]!r}"
        )
    return hosts
