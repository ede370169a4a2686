"""Runs one task: `python -m jobs`, the command of every stage's container and of the local executor's processes.

The task stands in the environment (jobs/runtime/environment.py); the exit code is the contract of jobs/errors.py.
"""

from __future__ import annotations

import os
import sys
import threading

from jobs.errors import OK, TRY_AGAIN, exit_code_of
from jobs.runtime import environment, stopping


def main() -> int:
    """Run the task that the environment describes; returns the exit code."""
    stopping.note_sigterm()  # what follows takes seconds; `run_task` leaves the reason
    if os.environ.get(environment.END_WITH_PARENT_VARIABLE):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    from jobs.catalog import stage_named
    from jobs.runtime import checking, diagnostics, events, log, task
    from jobs.runtime.gang import launcher, world
    from jobs.runtime.task_description import TaskDescription

    log.capture_library_logs()
    attempt = task.new_attempt()
    in_gang = False
    try:
        description = TaskDescription.from_variable(os.environ.get(environment.TASK_VARIABLE, ""))
        index = int(os.environ.get(environment.INDEX_VARIABLE, "0"))
        in_gang = description.gang
        if in_gang and "RANK" not in os.environ:  # else started by `launch`
            worlds = world.worlds_of_pod(index, description.completions, os.environ)
            if len(worlds) > 1 and not stopping.asked_early():
                return launcher.launch(worlds, attempt)
            os.environ.update(worlds[0].variables())
        run = checking.check_task if description.action == "check" else task.run_task
        run(stage_named(description.stage), description, index=index, attempt=attempt)
    except (Exception, stopping.Stopped) as error:
        diagnostics.leave_termination_message(error, unit=None, attempt=attempt)
        log.emit(events.Exited(code=exit_code_of(error), error=f"{type(error).__name__}: {error}"))
        if in_gang:  # the threads of torch's collectives would wait for processes that are gone
            os._exit(exit_code_of(error))
        return exit_code_of(error)
    return OK


def _end_with_parent() -> None:
    """End when the parent does, whose death closes our standard input; commits make that safe at any moment."""
    while os.read(sys.stdin.fileno(), 1 << 10):  # the buffered reader's lock would abort our own ending
        pass
    os._exit(TRY_AGAIN)


if __name__ == "__main__":
    sys.exit(main())
