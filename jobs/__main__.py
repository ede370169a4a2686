"""Runs one task: `python -m jobs`, the command of every stage's container and of the local executor's processes.

The task stands in the environment (I2P_TASK, JOB_COMPLETION_INDEX); the exit code is the contract of jobs/errors.py.
"""

from __future__ import annotations

import os
import sys
import threading

from jobs.catalog import stage_named
from jobs.errors import OK, TRY_AGAIN
from jobs.runtime import log
from jobs.runtime.task import INDEX_VARIABLE, TASK_VARIABLE, TaskDescription, exit_code_of, new_attempt, run_task


def main() -> int:
    """Run the task that the environment describes; returns the exit code."""
    if os.environ.get("I2P_END_WITH_PARENT"):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    log.capture_library_logs()
    try:
        description = TaskDescription.decode(os.environ.get(TASK_VARIABLE, ""))
        run_task(
            stage_named(description.stage),
            description,
            index=int(os.environ.get(INDEX_VARIABLE, "0")),
            attempt=new_attempt(),
        )
    except Exception as error:
        log.event("exit", code=exit_code_of(error), error=f"{type(error).__name__}: {error}")
        return exit_code_of(error)
    return OK


def _end_with_parent() -> None:
    """End when the parent does, whose death closes our standard input; commits make that safe at any moment."""
    while os.read(sys.stdin.fileno(), 1 << 10):  # the buffered reader's lock would abort our own ending
        pass
    os._exit(TRY_AGAIN)


if __name__ == "__main__":
    sys.exit(main())
