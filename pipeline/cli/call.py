"""One call of the command line: what was asked, the configuration that it chose, and where that runs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.catalog import stage_named
from jobs.shards.store import Store
from pipeline.cli.terminal import json_text, printable
from pipeline.configuration.run_config import RunConfig
from pipeline.executors.kind import ExecutorKind, kind_of
from pipeline.planning.run_store import open_run


@dataclass(frozen=True)
class Call:
    """The arguments and the configuration; the rest is opened when a command first needs it."""

    args: argparse.Namespace
    given: RunConfig

    @cached_property
    def kind(self) -> ExecutorKind:
        """Of executor, which the configuration names."""
        return kind_of(self.given)

    @cached_property
    def config(self) -> RunConfig:
        """The configuration, with what the run's Jobs are known by."""
        return self.kind.config()

    @cached_property
    def store(self) -> Store:
        """The run's."""
        return open_run(self.given)

    @property
    def stage(self) -> str:
        """The stage that was named; raises BadConfiguration when there is none of that name."""
        return stage_named(self.args.stage).name

    def answer(self, value: Any, text: str) -> None:
        """Print a report, as JSON if that was asked for."""
        print(json_text(value, indent=2) if self.args.json else printable(text))
