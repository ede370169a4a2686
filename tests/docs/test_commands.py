"""The commands of README and docs are run, in the smallest size, and print what the page says.

A page's commands share a folder in which the demo has been run; one small run is shared by all pages. `i2p` runs in
this process, everything else in bash, where `i2p` is the command line too.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog import COMMANDS
from pipeline.__main__ import main
from tests.docs.blocks import Block, Command, blocks_of, commands_of, matches, pages
from tests.e2e.conftest import undisturbed as undisturbed
from tests.e2e.runs import PRESET, RUN

STANDALONE = {"explain", "completion", *(command.name for command in COMMANDS)}
RUNNABLE = [page for page in pages() if any(block.is_run for block in blocks_of(page))]


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for the finished demo, from which commands are run; the demo's preset is the small one."""
    shutil.copytree(undisturbed, tmp_path / "page" / "runs")
    (tmp_path / "page" / "runs" / RUN).rename(tmp_path / "page" / "runs" / "demo")
    small = tmp_path / "page" / ".small.yaml"
    small.write_text(Path(PRESET).read_text().replace(f"run: {RUN}\n", "run: demo\n"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "i2p").write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline "$@"\n')
    (programs / "i2p").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}", prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(small.parent)
    return small.parent


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, folder: Path, capfd: Any) -> None:
    for block in blocks_of(page):
        if block.title:
            show(block, folder)
        elif block.is_run:
            for command in commands_of(block):
                check(command, capfd)


def show(block: Block, folder: Path) -> None:
    """Make the file that a block is."""
    path = folder / block.title
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"^preset: demo$", "preset: .small.yaml", block.text, flags=re.MULTILINE))


def check(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    """Run a command, which must succeed and print what the page says."""
    code = run(command.text)
    said = capfd.readouterr()
    where = f"{command.page}:{command.line}: {command.text}\n"
    assert code == 0, f"{where}{said.out}{said.err}"
    if command.output:
        assert matches(command.output, said.out), f"{where}{said.out}{said.err}"


def run(text: str) -> int:
    words = shlex.split(text)
    if words[0] != "i2p" or ">" in words or "|" in words:
        return subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=False).returncode
    if words[1] in STANDALONE or any(word in words for word in ("--version", "--preset")):
        arguments = words[1:]
    else:
        arguments = [*words[1:], "--preset", ".small.yaml"]
    try:
        return main(arguments)
    except SystemExit as end:  # argparse's own
        return int(end.code or 0)
