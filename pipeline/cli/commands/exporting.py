"""Commands that packages of `jobs` bring along: those that need no run, and what is written of one."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from jobs.catalog import EXPORTS
from jobs.errors import OK
from jobs.runtime.commands import Command
from pipeline.cli.call import Call
from pipeline.cli.progress import open_progress
from pipeline.cli.terminal import print_text
from pipeline.report.run_page import view_of


def run_command(args: argparse.Namespace) -> int:
    """Run the command that the arguments name."""
    command: Command = args.brought
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing half-written stays
    run = command.function()
    with open_progress() as show:
        summary = run(args, show)
    print_text(summary.text)
    return OK


def export(call: Call) -> int:
    """Write what a run has made as plain files, for work with other tools."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = next(one for one in EXPORTS if one.name == call.args.what)
    folder = Path(call.args.out or f"{call.config.run}-{chosen.name}")
    summary = chosen.function()(view_of(call.store, call.config), folder, force=call.args.force)
    call.answer(dict(summary.values), summary.text)
    return OK
