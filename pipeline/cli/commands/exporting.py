"""Commands that packages of `jobs` bring along: those that need no run, and what is written of one."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import cast

from jobs.catalog import EXPORTS
from jobs.errors import OK, BadConfiguration
from jobs.export.command import DEFAULT_FORMAT, IMAGES, Asked, as_tables, in_format
from jobs.report.page import RunView, Summary
from jobs.runtime.commands import Command, Export, Progress
from pipeline.cli.call import Call
from pipeline.cli.progress import open_progress
from pipeline.cli.terminal import json_text, print_text
from pipeline.report.run_page import view_of


def run_command(args: argparse.Namespace) -> int:
    """Run the command that the arguments name."""
    command: Command = args.brought
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing half-written stays
    run = command.function()
    with open_progress() as show:
        summary = run(args, show)
    print_text(json_text(dict(summary.values), indent=2) if getattr(args, "json", False) else summary.text)
    return OK


def export(call: Call) -> int:
    """Write what a run has made as plain files, for work with other tools."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = next(one for one in EXPORTS if one.name == call.args.what)
    with open_progress() as show:
        summary = _exported(call, chosen, view_of(call.store, call.config), show)
    call.answer(dict(summary.values), summary.text)
    return OK


def _exported(call: Call, chosen: Export, view: RunView, show: Progress) -> Summary:
    args = call.args
    name = args.tables or args.format or ("" if chosen.write else DEFAULT_FORMAT)
    out = args.out or f"{call.config.run}-{args.tables or chosen.name}"
    asked = Asked(out=out, format=name, vectors=args.vectors, force=args.force)
    if args.tables:
        if chosen != IMAGES or args.format or args.vectors:
            raise BadConfiguration("--tables is for `i2p export images`, without --format and --vectors")
        return cast(Summary, as_tables(name)(view, asked, show))
    if name and not chosen.content:
        raise BadConfiguration(f"{chosen.name} has files of its own: leave out --format")
    if name:
        return cast(Summary, in_format(name)(chosen, view, asked, show))
    if args.vectors:
        raise BadConfiguration(f"--vectors needs a --format: the own files of {chosen.name} hold none")
    return cast(Summary, chosen.function()(view, Path(out), force=args.force))
