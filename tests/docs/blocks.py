"""The fenced blocks of the README and of docs/.

A ```console block holds commands, on lines that begin with `$ `, each with the output that it has; `…` stands for any
text, also for any lines where it is a line of its own. It is run, unless its first line says what it needs: `# needs a
cluster`, `# takes minutes`. Any block with a title is the file of that name, for the commands of its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS = re.compile(
    r"# (needs (a cluster|a GPU|a registry|the network|S3)|takes minutes)"
)  # and no other reason not to be run
ELLIPSIS = "…"

_FENCE = re.compile(r"^( *)```(\w*)(?: title=\"([^\"]+)\")?\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it stands, its language, its title and its lines."""

    page: str
    line: int
    language: str
    title: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def is_run(self) -> bool:
        return self.language == "console" and not self.lines[0].startswith("#")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, and the lines that it is said to print."""

    page: str
    line: int
    text: str
    output: tuple[str, ...]


def pages() -> list[Path]:
    """The README and all pages that are written by hand."""
    hand_written = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(hand_written)]


def blocks_of(path: Path) -> list[Block]:
    """All blocks of a page, in order."""
    found, lines = [], path.read_text().splitlines()
    page = path.relative_to(ROOT).as_posix()
    opened: re.Match[str] | None = None
    start = 0
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, start = fence, number
        elif opened is not None and line.strip() == "```":
            inside = tuple(one.removeprefix(opened[1]) for one in lines[start : number - 1])
            found.append(Block(page, start + 1, opened[2], opened[3] or "", inside))
            opened = None
    assert opened is None, f"{page}:{start}: a fence that is not closed"
    return found


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    text, start = "", 0
    output: list[str] = []
    for number, line in enumerate(block.lines, block.line):
        if line.startswith("$ "):
            if text:
                yield Command(block.page, start, text, tuple(output))
            text, start, output = line.removeprefix("$ "), number, []
        elif text:
            output.append(line)
        else:
            assert NEEDS.fullmatch(line), f"{block.page}:{number}: neither a command nor a known reason not to run it"
    assert text, f"{block.page}:{block.line}: a console block without a command"
    yield Command(block.page, start, text, tuple(output))


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether the output is what is expected, where `…` stands for anything."""
    parts = [
        r"(?:.*\n)*?" if line.strip() == ELLIPSIS else r"[^\n]*?".join(map(re.escape, line.split(ELLIPSIS))) + r" *\n"
        for line in expected
    ]
    return re.fullmatch("".join(parts), printed if printed.endswith("\n") else printed + "\n") is not None
