"""The reference of the docs as Markdown: `python -m pipeline.cli.reference.pages FOLDER`, and docs/hooks.py."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from jobs.catalog import STAGES
from jobs.runtime.spec import StageSpec
from pipeline.cli.parser import make_parser
from pipeline.cli.reference.commands import Argument, commands
from pipeline.cli.reference.exit_codes import exit_codes
from pipeline.cli.reference.lookup import of_any_kind
from pipeline.cli.reference.parameters import REQUIRED, Parameter, lists_of_kinds, parameters

_RESOURCES = f"{STAGES[0].name}.resources."  # stand for those of every stage
_GENERATED = "This page is generated from the code; `i2p explain NAME` prints the same in a terminal."


def write_pages(folder: Path) -> None:
    """Write the pages into the folder; one that says the same stays as it is, so that a watcher sees no change."""
    folder.mkdir(parents=True, exist_ok=True)
    lists = {prefix.split(".")[-2]: _kinds(prefix) for prefix in lists_of_kinds()}
    pages = {"parameters": _parameters(), **lists, "commands": _commands(), "exit-codes": _exit_codes()}
    for name, blocks in pages.items():
        path, text = folder / f"{name}.md", "\n\n".join(blocks) + "\n"
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def _parameters() -> Iterator[str]:
    yield from ["# Parameters", _GENERATED]
    yield (
        "A parameter is set in a YAML file (`--preset`, `--values`) or with `--set NAME=VALUE`. *Result* says whether "
        "it is part of the [fingerprint](../protocol.md#fingerprints) of what is made."
    )
    yield from ["## The run", *_described(one for one in parameters().values() if "." not in one.name)]
    for spec in STAGES:
        yield from [f"## {spec.name}", _about(spec), *_described(_own(spec))]
    yield from ["## Resources", "Every stage has these: `STAGE.resources.NAME`."]
    yield from _described(_below(_RESOURCES), "STAGE.resources.", _RESOURCES)
    yield from ["## Kubernetes", *_described(_below("kubernetes."))]


def _about(spec: StageSpec) -> str:
    reads = ", ".join(f"[{name}](#{name})" for name in spec.inputs)
    return f"This stage {spec.about}." + (f" It reads {reads}." if reads else "")


def _own(spec: StageSpec) -> Iterator[Parameter]:
    for one in _below(f"{spec.name}."):
        if not one.name.startswith((*lists_of_kinds(), f"{spec.name}.resources")):
            yield one


def _below(prefix: str) -> Iterator[Parameter]:
    return (one for name, one in parameters().items() if name.startswith(prefix))


def _kinds(prefix: str) -> Iterator[str]:
    """A page for a list whose entries are of several kinds: sources, rules."""
    name = prefix.rstrip(".")
    what = name.rpartition(".")[2]
    yield from [f"# Kinds of {what}", _GENERATED]
    yield f"The entries of [`{name}`](parameters.md#{name}) have a `kind`:"
    kinds = [one for one in _below(prefix) if "." not in one.name.removeprefix(prefix)]
    yield "\n".join(f"- `{one.name.removeprefix(prefix)}`: {one.about}" for one in kinds)
    yield f"## Parameters of {what}"
    for own in dict.fromkeys(one.name.removeprefix(prefix).partition(".")[2] for one in _below(prefix)):
        if own not in ("", "kind"):
            for one in of_any_kind(prefix, own):
                yield from _described([one])


def _described(entries: Iterable[Parameter], shown: str = "", prefix: str = "") -> Iterator[str]:
    """Each parameter under a heading of its own, by which the search finds it."""
    for one in entries:
        if not one.is_group:
            name = shown + one.name.removeprefix(prefix) if prefix else one.name
            yield f"### `{name}` {{ #{name.translate(_NO_ANCHOR)} }}"
            yield from [one.about.replace("<", "&lt;")] if one.about else []
            yield "\n".join(f"- {label}: {value}" for label, value in _facts(one) if value)


_NO_ANCHOR = str.maketrans({"{": None, "}": None, ",": "-"})


def _facts(one: Parameter) -> Iterator[tuple[str, str]]:
    yield "Type", one.type
    yield "Allowed", _code(one.choices) if one.choices else re.sub(r"matching (.*)", r"matching `\1`", one.allowed)
    yield "Default", "none, it is required" if one.default == REQUIRED else f"`{one.default}`"
    yield "Presets", ", ".join(f"`{value}` in {preset}" for preset, value in one.presets)
    yield "Result", one.result


def _code(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _commands() -> Iterator[str]:
    yield from ["# Commands", _GENERATED]
    yield "`i2p COMMAND`, or `python -m pipeline COMMAND`. `i2p --version` prints the version, Python's and the commit."
    known = commands(make_parser())
    yield "## Options of every command that works on a run"
    yield _listed(argument for argument in known["run"].arguments if argument.is_common)
    for one in known.values():
        own = [argument for argument in one.arguments if not argument.is_common]
        usage = " ".join(["i2p", one.name, *(argument.name for argument in own if not argument.flags)])
        yield from [f"## {one.name}", f"`{usage}`", one.about]
        if own:
            yield _listed(own)


def _listed(arguments: Iterable[Argument]) -> str:
    return "\n".join(f"- `{one.name}`: {one.about}" for one in arguments)


def _exit_codes() -> Iterator[str]:
    yield from ["# Exit codes", _GENERATED]
    yield "They are those of `sysexits.h`, and the contract between a worker and whatever runs it."
    for one in exit_codes().values():
        yield from [f"## {one.code}{f' {one.name}' if one.name else ''}", one.effect]
        if one.errors:
            yield "\n".join(f"- `{name}`: {about}" for name, about in one.errors)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
