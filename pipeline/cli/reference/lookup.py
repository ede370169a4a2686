"""Finds what a name means: a parameter or a group of them, a stage, a command, or an exit code."""

from __future__ import annotations

import argparse
import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from jobs.catalog import STAGES
from jobs.errors import BadConfiguration
from pipeline.cli.reference.commands import Command, commands
from pipeline.cli.reference.exit_codes import ExitCode, exit_codes
from pipeline.cli.reference.parameters import Parameter, lists_of_kinds, parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A parameter with others in it: a stage, `kubernetes`, a list of sources, a source of one kind."""

    parameter: Parameter
    is_stage: bool
    reads: tuple[str, ...]
    members: tuple[Parameter, ...]


Entry = Parameter | Group | Command | ExitCode


def find(name: str, parser: argparse.ArgumentParser) -> list[Entry]:
    """All that has this name; raises BadConfiguration that says what was probably meant."""
    known = commands(parser)
    found: list[Entry] = [*_parameters_named(name)]
    if name in known:
        found.append(known[name])
    if name.isdigit() and int(name) in exit_codes():
        found.append(exit_codes()[int(name)])
    if not found:
        raise BadConfiguration(f"there is nothing to explain by the name {name!r}; {_hint(name, known)}")
    return found


def everything(parser: argparse.ArgumentParser) -> list[Entry]:
    """All that can be explained."""
    return [*parameters().values(), *commands(parser).values(), *exit_codes().values()]


def _parameters_named(name: str) -> Iterator[Parameter | Group]:
    known = parameters()
    wanted = ".".join(part for part in name.split(".") if not part.isdigit())  # a position in a list, as --set has it
    if wanted in known:
        yield _with_members(known[wanted])
    else:
        for prefix in lists_of_kinds():
            if wanted.startswith(prefix):
                yield from of_any_kind(prefix, wanted.removeprefix(prefix))


def of_any_kind(prefix: str, name: str) -> Iterator[Parameter]:
    """What entries of several kinds have by that name, once for all kinds where it is the same; `prefix` names their
    list, with a dot."""
    kinds = defaultdict(list)
    for full, one in parameters().items():
        kind, _, rest = full.removeprefix(prefix).partition(".")
        if full.startswith(prefix) and rest == name:
            kinds[replace(one, name="")].append(kind)
    for one, having in kinds.items():
        kind = having[0] if len(having) == 1 else f"{{{','.join(having)}}}"
        yield replace(one, name=f"{prefix}{kind}.{name}")


def _with_members(parameter: Parameter) -> Parameter | Group:
    prefix = f"{parameter.name}."
    inside = tuple(
        one for name, one in parameters().items() if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    )
    spec = next((spec for spec in STAGES if spec.name == parameter.name), None)
    if not inside:
        return parameter
    return Group(parameter=parameter, is_stage=bool(spec), reads=spec.inputs if spec else (), members=inside)


def _hint(name: str, known: Mapping[str, Command]) -> str:
    names = [*parameters(), *known, *map(str, exit_codes())]
    likely = difflib.get_close_matches(name, names, n=3)
    last = name.rpartition(".")[2]
    likely += [one for one in names if one.rpartition(".")[2] == last and one not in likely][: 3 - len(likely)]
    if likely:
        return f"did you mean {' or '.join(repr(one) for one in likely)}?"
    return "`i2p explain` lists all names"
