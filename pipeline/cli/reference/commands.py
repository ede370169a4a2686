"""Every command with its arguments, from the parser."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

_COMMON = ("--preset", "--values", "--set", "--run", "--executor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a command, or of the whole command line."""

    name: str
    """As it is written: `--days DAYS`, `STAGE`, `[UNIT]`."""

    about: str
    flags: tuple[str, ...]
    choices: tuple[str, ...]

    @property
    def is_common(self) -> bool:
        """Whether every command that works on a run has it."""
        return any(flag in _COMMON for flag in self.flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of `i2p`."""

    name: str
    about: str
    arguments: tuple[Argument, ...]


def commands(parser: argparse.ArgumentParser) -> dict[str, Command]:
    """All commands by name, in the parser's order."""
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {
        name: Command(name=name, about=" ".join((one.description or "").split()), arguments=_arguments(one))
        for name, one in subparsers.choices.items()
    }


def _arguments(parser: argparse.ArgumentParser) -> tuple[Argument, ...]:
    return tuple(
        Argument(
            name=_written(action),
            about=action.help or "",
            flags=tuple(action.option_strings),
            choices=tuple(map(str, action.choices or ())),
        )
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
    )


def _written(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        if isinstance(action.nargs, int):
            return " ".join([value] * action.nargs)
        return f"[{value}]" if action.nargs == "?" else f"{value}..." if action.nargs == "+" else value
    takes = "|".join(map(str, action.choices)) if action.choices else value
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {takes}")
