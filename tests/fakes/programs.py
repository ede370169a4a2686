"""Programs that note what they are asked and do what a line of shell says, for those that a machine lacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """\
#!/bin/sh
{python} -c 'import json, sys
with open("{log}", "a") as log:
    print(json.dumps([sys.argv[1:], sys.stdin.read()]), file=log)' {name} "$@"
{does}
"""


@dataclass(frozen=True)
class Call:
    """One call of a program: its name and arguments, and what it was given to read."""

    arguments: list[str]
    input: str


@dataclass(frozen=True)
class Calls:
    """What the programs of a folder were asked."""

    log: Path

    def of(self, *words: str) -> list[Call]:
        """The calls so far that begin with these words."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        calls = [Call(arguments, text) for arguments, text in map(json.loads, lines)]
        return [call for call in calls if call.arguments[: len(words)] == list(words)]


def install(folder: Path, programs: Mapping[str, str]) -> Calls:
    """Write programs, by name with what each does, into a folder of the search path."""
    log = folder / "calls"
    for name, does in programs.items():
        path = folder / name
        path.write_text(_PROGRAM.format(python=sys.executable, log=log, name=name, does=does))
        path.chmod(0o755)
    return Calls(log)
