"""What a person sees of a run: a live table on a terminal, one line per event anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.terminal import one_line, print_text
from pipeline.control.controller import View
from pipeline.control.time_left import clock_format, fraction
from pipeline.executors.base import JobStatus
from pipeline.planning.plan import StagePlan

_LINE_SECONDS = 10.0  # between two progress lines of one stage


class Display(Protocol):
    """What the controller reports of a run."""

    def show(self, view: View) -> None:
        """How all stages stand now."""

    def notify(self, stage: str, event: str) -> None:
        """Something happened to a stage."""


@contextmanager
def open_display() -> Iterator[Display]:
    """A live table if standard output is a terminal, lines otherwise."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    console = Console()
    with Live(console=console, refresh_per_second=4) as live:
        yield LiveTable(live)


class Lines:
    """One line per event, and a progress line for each running stage now and then."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def show(self, view: View) -> None:
        for plan in view.plans:
            stage = plan.spec.name
            job = running(view, stage)
            if job and time.monotonic() - self._last.setdefault(stage, time.monotonic()) > _LINE_SECONDS:
                self._last[stage] = time.monotonic()
                self.notify(stage, described(plan, job) + (f"; whole run: {view.left}" if view.left else ""))

    def notify(self, stage: str, event: str) -> None:
        print_text(f"{_now()}  {stage:<17} {one_line(event)}")


class LiveTable:
    """A table of all stages, redrawn in place, with what happened above it."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, view: View) -> None:
        table = Table.grid(padding=(0, 2))
        for plan in view.plans:
            stage = plan.spec.name
            job = running(view, stage)
            if job:
                bar = ProgressBar(total=1, completed=fraction(plan, job), width=24)
                table.add_row(Text(stage, "bold"), bar, _text(described(plan, job)))
            else:
                table.add_row(stage, "", _text(standing(plan)))
        if view.left:
            table.add_row("", "", _text(f"whole run: {view.left}", "dim"))
        self._live.update(table)

    def notify(self, stage: str, event: str) -> None:
        self._live.console.print(Text.assemble((_now(), "dim"), f"  {stage:<17} ", _text(event)))


def _text(text: str, style: str = "") -> Text:
    """For a cell or a line; never plain `str`, in which rich reads markup such as `[/1]` or `[link=…]`."""
    return Text(one_line(text), style)


def _now() -> str:
    return time.strftime("%H:%M:%S")


def running(view: View, stage: str) -> JobStatus | None:
    """The stage's Job if it has one that is not over."""
    job = view.jobs.get(stage)
    return job if job and job.state == "running" else None


def standing(plan: StagePlan) -> str:
    """How a stage that does not run stands, in words."""
    if plan.units is None:
        return plan.waits_for
    if plan.done:
        return f"done, {len(plan.units)} of {len(plan.units)} units"
    return f"{len(plan.units) - plan.pending} of {len(plan.units)} units"


def described(plan: StagePlan, job: JobStatus) -> str:
    """Units, samples, rate and time left of a running stage, and why it waits if it does."""
    elapsed = max(time.time() - job.started, 0.1)
    words = [f"{job.units}/{plan.pending} units"]
    counted = [one for one in job.progress if one.what]
    if counted:
        done, total = sum(one.done for one in counted), sum(one.total or 0 for one in counted)
        words.append(f"{done:,.0f}{f' of {total:,.0f}' if total else ''} {counted[0].what}")
    if job.samples:
        words.append(f"{job.samples:,} samples, {job.samples / elapsed:,.0f}/s")
    elif counted:
        words.append(f"{sum(one.done for one in counted) / elapsed:,.0f}/s")
    part = fraction(plan, job)
    words.append(
        f"{clock_format(elapsed * (1 - part) / part)} left" if part > 0.02 else f"{clock_format(elapsed)} so far"
    )
    if job.suspended:
        words.append("paused")
    if job.waiting:
        words.append(job.waiting)
    return ", ".join(words)
