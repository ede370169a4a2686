"""A worker to which a SIGTERM comes at the moment at which it imports a module."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.task_description import TaskDescription

# `python -m jobs`, in which the import takes a while
INTERRUPTED = """
import os, runpy, signal, sys, time
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(float(sys.argv[2]))
sys.meta_path.insert(0, Interrupting())
from jobs.runtime import stopping
stopping.STUCK_SECONDS = float(sys.argv[3])
runpy.run_module("jobs", run_name="__main__", alter_sys=True)
"""


def interrupted_at_import(
    description: TaskDescription, module: str, *, imported_in: float, stuck: float, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """The worker after it ended: the import takes `imported_in` seconds, of which it is given `stuck`."""
    whole = {**os.environ, TASK_VARIABLE: description.to_variable(), "I2P_ATTEMPT": "one", **env}
    command = [sys.executable, "-c", INTERRUPTED, module, str(imported_in), str(stuck)]
    return subprocess.run(command, env=whole, capture_output=True, text=True, timeout=300)
