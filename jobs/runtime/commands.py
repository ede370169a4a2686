"""What a package of `jobs` adds to the command line: commands that need no run, and exports of one.

They stand in its module `command`, which is light to import, as `stage` is; the functions are named, and imported when
they are called.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from jobs.errors import BadConfiguration
from jobs.runtime.spec import load


class Progress(Protocol):
    """Shows how far a command is."""

    def __call__(self, what: str, done: int, total: int | None, part: float | None = None) -> None:
        """`done` of `total` are done, which is None while it is not known; `part`, 0 to 1, is that of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of its own, `i2p NAME`."""

    name: str
    about: str
    arguments: Callable[[argparse.ArgumentParser], None]  # adds them
    run: str  # "jobs.dedup.tool.run:run", (arguments, Progress) -> Summary
    extras: str  # of pyproject.toml, whose packages it needs

    def function(self) -> Callable[..., Any]:
        """The function that runs it; raises BadConfiguration where a package is not installed."""
        return imported(self.run, f"`i2p {self.name}`", self.extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What `i2p export NAME` writes of a run: tables in a format that is asked for, or files of its own."""

    name: str
    about: str
    content: str = ""  # "jobs.export.contents.images:content", (RunView) -> Content; "" where no format fits
    write: str = ""  # "jobs.dedup.tool.export:write", (RunView, folder, force) -> Summary, where no format is asked for
    extras: str = "export"  # of what `write` needs, else of what formats do

    def function(self) -> Callable[..., Any]:
        """The function that writes files of its own; raises BadConfiguration where a package is not installed."""
        return imported(self.write, f"`i2p export {self.name}`", self.extras)


def imported(reference: str, what: str, extras: str) -> Callable[..., Any]:
    """The function that `MODULE:NAME` names; raises BadConfiguration where a package of these extras is missing."""
    try:
        function: Callable[..., Any] = load(reference)
    except ModuleNotFoundError as error:
        raise BadConfiguration(
            f"{what} needs the Python package {error.name!r}: `pip install 'image-to-prompts[{extras}]'`"
        ) from error
    return function
