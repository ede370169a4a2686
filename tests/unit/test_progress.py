"""How far a command is: one line that is written again on a terminal, few lines elsewhere, nothing that steers."""

from __future__ import annotations

import io

import pytest

from pipeline.cli import progress
from pipeline.cli.progress import ProgressLine, described


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "part", "seconds", "text"),
    [
        (1234, None, None, 61, "reading    1,234, 1:01 so far"),
        (1, 1000, 0.001, 5, "reading    1 of 1,000, 0:05 so far"),
        (250, 1000, 0.25, 60, "reading    250 of 1,000, 3:00 left"),
        (500, 1000, 0.25, 60, "reading    500 of 1,000, 3:00 left"),
        (1000, 1000, 1.0, 60, "reading    1,000 of 1,000, 1:00"),
    ],
)
def test_words(done: int, total: int | None, part: float | None, seconds: float, text: str) -> None:
    assert described("reading", done, total, part, seconds) == text


def test_on_a_terminal_one_line_is_written_again_and_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "30")
    screen = Terminal()
    line = ProgressLine(screen)
    line("embedding", 1, 4)
    line("embedding", 2, 4)
    line.close()
    assert "\n" not in screen.getvalue()
    parts = screen.getvalue().split("\r\x1b[K")
    assert parts[-1] == ""
    assert "embedding  2 of 4, 0:00 left" in parts
    assert max(map(len, parts)) < 30


def test_elsewhere_each_part_has_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for done in (1, 2, 3):
        line("reading", done, 3)
    line("comparing", 5, 5, 1.0)
    line.close()
    assert stream.getvalue() == "reading    3 of 3, 0:00\ncomparing  5 of 5, 0:00\n"
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    line("embedding", 1, 2)
    line("embedding", 2, 2)
    assert stream.getvalue().count("embedding") == 2


def test_what_is_done_of_nothing_is_no_error() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    line("comparing", 0, 0)
    line.close()
    assert stream.getvalue() == "comparing  0 of 0, 0:00 so far\n"
