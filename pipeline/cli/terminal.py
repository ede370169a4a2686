"""Text on its way to a terminal: what others wrote (file names, prompts, error messages) must not steer it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

# Control characters but tab and line feed, what turns the direction of writing round, other line ends, and halves of
# surrogate pairs (file names that are not UTF-8), which cannot be printed at all.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with everything that steers a terminal written out, like `\x1b`; lines and tabs stay."""
    return _STEERING.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    """The printable text with its lines joined, so that no part of it can pass for another event."""
    return printable(text.replace("\r\n", "\n")).replace("\n", " | ")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON that is printable, and is read back as it was."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, indent=indent, ensure_ascii=False))


def print_text(text: str) -> None:
    """Print on standard output."""
    print(printable(text), flush=True)


def print_error(text: str) -> None:
    """Print on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if character < "\u0100" else f"\\u{ord(character):04x}"
