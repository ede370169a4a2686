"""Commands of an operator: hold a run, stop it, give a dead node up."""

from __future__ import annotations

from jobs.errors import OK
from pipeline.cli.call import Call
from pipeline.cli.terminal import print_text
from pipeline.planning.desired_state import DesiredState


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
    for line in call.kind.set_desired_state(call.store, desired):
        print_text(line)
    print_text(f"run {call.config.run} is {text}")
    return OK


def release(call: Call) -> int:
    """Let the indexes whose Pods hang on a dead node start elsewhere."""
    for name in call.kind.release(call.args.node):
        print_text(f"{name}: released")
    return OK
