"""Commands that need no run: what a name means, and completion for a shell."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from jobs.errors import OK
from pipeline.cli.terminal import json_text, print_text


def explain(args: argparse.Namespace) -> int:
    """What a parameter, a stage, a command or an exit code means: type, default, allowed values, and its effect."""
    from pipeline.cli.reference import lookup, text  # which build the schema of the whole configuration

    found = lookup.find(args.name, args.parser) if args.name else lookup.everything(args.parser)
    if args.json:
        print_text(json_text([asdict(one) for one in found], indent=2))
    else:
        print_text(text.text_of(found) if args.name else text.overview(args.parser))
    return OK


def completion(args: argparse.Namespace) -> int:
    """Print a script that completes commands, options, stages, presets and parameters in a shell."""
    from pipeline.cli.completion import script

    print_text(script(args.shell, args.parser))
    return OK
