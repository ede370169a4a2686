"""Error messages, file names and logs reach a terminal as text: no markup, no links, no control characters."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from jobs.catalog import stage_named
from jobs.errors import BAD_CONFIGURATION
from jobs.runtime.log import encodable
from jobs.shards.local import LocalStore
from pipeline.__main__ import main
from pipeline.cli.display import Display, Lines, LiveTable
from pipeline.cli.terminal import json_text, one_line, printable
from pipeline.control.controller import View
from pipeline.executors.base import JobStatus
from pipeline.planning.plan import StagePlan, UnitPlan

MARKUP = "cat[/1].png of [image] [link=http://evil.example]click[/link] :smile: [bold"
CONTROL = "red \x1b[31m, title \x1b]0;x\x07, one byte \x9b2J, back \r, turned \u202e, no UTF-8 \udcff"
WRITTEN_OUT = r"red \x1b[31m, title \x1b]0;x\x07, one byte \x9b2J, back \x0d, turned \u202e, no UTF-8 \udcff"
SMALL = str(Path(__file__).parents[1] / "e2e" / "small.yaml")


class Screen(io.StringIO):
    """What a terminal of 400 columns was sent."""

    def live_table(self) -> LiveTable:
        console = Console(file=self, force_terminal=True, width=400, color_system=None, legacy_windows=False)
        return LiveTable(Live(console=console, auto_refresh=False))

    def drawn(self, table: LiveTable) -> str:
        table._live.console.print(table._live.get_renderable())
        return self.getvalue()


def view(waiting: str, job: JobStatus | None = None) -> View:
    embed, dedup = stage_named("embed"), stage_named("dedup")
    running = StagePlan(embed, (UnitPlan("a", "run", "x"),), ready=True, published=None)
    waits = StagePlan(dedup, None, ready=False, published=None, waits_for=waiting)
    return View([running, waits], {"embed": job} if job else {})


def waiting_job(why: str) -> JobStatus:
    return JobStatus(state="running", waiting=why)


def test_the_live_table_shows_messages_as_they_are_written() -> None:
    screen = Screen()
    screen.live_table().notify("infer", f"failed: {MARKUP}")
    assert MARKUP in screen.getvalue()


def test_the_live_table_shows_reasons_as_they_are_written() -> None:
    screen = Screen()
    table = screen.live_table()
    table.show(view(f"waits for {MARKUP}", waiting_job(f"no node for {MARKUP}")))
    drawn = screen.drawn(table)
    assert f"waits for {MARKUP}" in drawn
    assert f"no node for {MARKUP}" in drawn


def test_neither_display_passes_control_characters_on(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    displays: list[Display] = [screen.live_table(), Lines()]
    for display in displays:
        display.notify("infer", CONTROL)
    assert WRITTEN_OUT in screen.getvalue()
    assert WRITTEN_OUT in capsys.readouterr().out


def test_an_event_of_several_lines_cannot_pass_for_several_events(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().notify("infer", "failed: first\n12:00:00  infer             done")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_text_keeps_its_lines_and_letters() -> None:
    assert printable("été\n\t雪 [x] \\x1b") == "été\n\t雪 [x] \\x1b"
    assert one_line("a\nb\r\nc") == "a | b | c"


def test_json_is_printable_and_read_back_as_it_was() -> None:
    value = {"error": CONTROL, "prompt": "été 雪\n"}
    assert json.loads(json_text(value, indent=2)) == value
    assert printable(json_text(value)) == json_text(value)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["in words", "in JSON"])
@pytest.mark.parametrize("command", ["why", "logs"])
def test_what_workers_wrote_is_reported_without_control_characters(
    command: str, options: list[str], local_store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = local_store.at("small/collect")
    wrote = encodable(CONTROL)
    failure = {
        "time": 1.0,
        "unit": None,
        "index": 0,
        "attempt": "x",
        "error": wrote,
        "exit_code": 65,
        "traceback": f"line\n{wrote}",
    }
    stage.create("failures/00000-x.json", json.dumps(failure).encode())
    stage.create("logs/00000-x.jsonl", json.dumps({"time": 1.0, "event": "exit", "code": 65, "error": wrote}).encode())
    assert main([command, "collect", "--preset", SMALL, "--set", f"store={local_store.root}", *options]) == 0
    noted = capsys.readouterr().out
    assert "title" in noted
    assert noted == printable(noted)


def test_errors_are_reported_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--preset", SMALL, "--set", "red \x1b[31m, one byte \x9b2J=1"]) == BAD_CONFIGURATION
    noted = capsys.readouterr().err
    assert r"red \x1b[31m, one byte \x9b2J: there is no such parameter" in noted
    assert noted == printable(noted)
