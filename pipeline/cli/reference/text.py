"""What `i2p explain` prints of an entry."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence

from pipeline.cli.reference.commands import Command, commands
from pipeline.cli.reference.exit_codes import ExitCode, exit_codes
from pipeline.cli.reference.lookup import Entry, Group
from pipeline.cli.reference.parameters import REQUIRED, Parameter, parameters

_WIDTH = 100
_LABEL = 12


def text_of(entries: Sequence[Entry]) -> str:
    """All entries, one below the other."""
    return "\n\n".join("\n".join(_lines(entry)) for entry in entries)


def overview(parser: argparse.ArgumentParser) -> str:
    """Every name that can be explained, with its first sentence."""
    groups = [one for one in parameters().values() if "." not in one.name]
    return "\n".join(
        [
            "parameters (and groups of them, such as stages)",
            *_table([(one.name, _first(one.about)) for one in groups]),
            "",
            "commands",
            *_table([(one.name, _first(one.about)) for one in commands(parser).values()]),
            "",
            "exit codes",
            *_table([(str(code), _first(one.effect)) for code, one in exit_codes().items()]),
        ]
    )


def _lines(entry: Entry) -> Iterator[str]:
    if isinstance(entry, Parameter):
        yield from _parameter(entry)
    elif isinstance(entry, Group):
        yield from _group(entry)
    elif isinstance(entry, Command):
        yield f"i2p {entry.name} (a command)"
        yield from _wrapped(entry.about)
        yield from _table([(one.name, one.about) for one in entry.arguments])
    else:
        yield from _exit_code(entry)


def _parameter(one: Parameter) -> Iterator[str]:
    yield one.name
    yield from _wrapped(one.about)
    yield from _facts(one)


def _facts(one: Parameter) -> Iterator[str]:
    facts = {
        "type": one.type,
        "allowed": one.allowed,
        "default": "none, it is required" if one.default == REQUIRED else one.default,
        "presets": ", ".join(f"{value} in {preset}" for preset, value in one.presets),
        "result": one.result,
    }
    for label, value in facts.items():
        if value:
            yield from _wrapped(value, first=f"    {label:<{_LABEL - 4}}", rest=" " * _LABEL)


def _group(group: Group) -> Iterator[str]:
    if not group.parameter.is_group:
        yield from _parameter(group.parameter)
    else:
        yield f"{group.parameter.name} ({'a stage' if group.is_stage else 'a group of parameters'})"
        yield from _wrapped(group.parameter.about)
    if group.reads:
        yield from _wrapped(f"reads {', '.join(group.reads)}")
    yield from _table([(one.name, _with_default(one)) for one in group.members])


def _exit_code(one: ExitCode) -> Iterator[str]:
    yield f"exit code {one.code}{f' ({one.name})' if one.name else ''}"
    yield from _wrapped(one.effect)
    yield from _table(list(one.errors))


def _with_default(one: Parameter) -> str:
    default = f" [{one.default}]" if one.default else ""
    return f"{_first(one.about)}{default}".strip()


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = min(max((len(name) for name, _ in rows), default=0), 34) + 2
    for name, about in rows:
        yield from _wrapped(about, first=f"    {name:<{width}}", rest=" " * (width + 4))


def _wrapped(text: str, first: str = "    ", rest: str = "    ") -> list[str]:
    lines = textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return lines or ([first.rstrip()] if first.strip() else [])


def _first(text: str) -> str:
    """The first sentence."""
    return re.split(r"\.(?: (?=[A-Z0-9`])|$)", text, maxsplit=1)[0]
