"""Commands of an operator: hold a run, stop it, give a dead node up."""

from __future__ import annotations

from jobs.errors import OK
from pipeline.cli.call import Call
from pipeline.cli.terminal import print_text
from pipeline.planning.desired_state import DesiredState, write_desired_state


def pause(call: Call) -> int:
    """Suspend the run: its Jobs' Pods end, what is committed stays, and no further stage starts until `resume`."""
    return _set_desired_state(call, "pause", "paused; `i2p resume` lets it go on")


def resume(call: Call) -> int:
    """Let a paused run go on, or allow a cancelled one again."""
    return _set_desired_state(call, "run", "not held any more; a controller that still runs goes on, else `i2p run`")


def cancel(call: Call) -> int:
    """Stop the run and remove its Jobs; what is committed stays, and `resume` allows it again."""
    return _set_desired_state(call, "cancel", "cancelled; what is committed stays")


def _set_desired_state(call: Call, desired: DesiredState, text: str) -> int:
    if call.on_cluster:
        from pipeline.executors.kubernetes import operations

        for line in operations.apply_desired_state(call.api, call.store, call.config, desired):
            print_text(line)
    else:
        write_desired_state(call.store, desired)
    print_text(f"run {call.config.run} is {text}")
    return OK


def release(call: Call) -> int:
    """Let the indexes whose Pods hang on a dead node start elsewhere."""
    from pipeline.executors.kubernetes import operations

    for name in operations.release(call.api, call.config, call.args.node):
        print_text(f"{name}: released")
    return OK
