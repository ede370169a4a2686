"""Writes the completion script: the template with what the parser and the configuration have now."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from importlib import resources

from jobs.catalog import STAGES
from pipeline.cli.reference.commands import Command, commands
from pipeline.cli.reference.exit_codes import exit_codes
from pipeline.cli.reference.parameters import parameters
from pipeline.configuration.run_config import presets

_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script for `bash`, or for `zsh`, which reads the same one."""
    text = (resources.files("pipeline.cli") / "completion.bash").read_text().rstrip()
    known = commands(parser)
    found = {
        "COMMANDS": " ".join(known),
        "PRESETS": " ".join(presets()),
        "SETTINGS": " ".join(f"{name}=" for name in settings()),
        "OPTIONS": _cases({name: _options(one) for name, one in known.items()}),
        "WORDS": _cases({name: _words(one) for name, one in known.items()}),
        "VALUES": _cases({**_option_values(known), **{name: one.choices for name, one in parameters().items()}}),
    }
    for name, value in found.items():
        text = text.replace(f"@{name}@", value)
    return _ZSH + text if shell == "zsh" else text


def settings() -> Iterator[str]:
    """The names that `--set` takes: no groups, and nothing inside of lists, where it wants positions."""
    lists = tuple(f"{name}." for name, one in parameters().items() if one.type.startswith("list of"))
    for name, one in parameters().items():
        if not one.is_group and not name.startswith(lists):
            yield name


def _options(command: Command) -> tuple[str, ...]:
    return tuple(flag for argument in command.arguments for flag in argument.flags)


def _words(command: Command) -> tuple[str, ...]:
    """What may stand for the first argument that is no option."""
    if command.name == "explain":
        return (*parameters(), *map(str, exit_codes()))
    if any(argument.name == "STAGE" for argument in command.arguments):
        return tuple(spec.name for spec in STAGES)
    return next((argument.choices for argument in command.arguments if not argument.flags), ())


def _option_values(known: Mapping[str, Command]) -> dict[str, tuple[str, ...]]:
    arguments = [argument for command in known.values() for argument in command.arguments if argument.choices]
    return {flag: argument.choices for argument in arguments for flag in argument.flags}


def _cases(values: Mapping[str, tuple[str, ...]]) -> str:
    return "\n".join(f"        {name}) echo '{' '.join(words)}' ;;" for name, words in values.items() if words)
