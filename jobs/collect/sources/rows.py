"""What a source yields for each row: a prompt, the reason why there is none, or that it was left out on purpose."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from jobs.shards.store import Readable

NOT_TEXT = ("is not valid UTF-8", "holds a NUL character")  # why a text cannot be a prompt
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that is a file of its own, by its name in what holds it; it is read when it is its turn."""

    store: Readable
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt as the source has it, where it stood (counted from 1), and what else is worth keeping of the row.

    Where the source has an image for it, `image` is its bytes or where they are, and `image_name` its name, if any.
    """

    number: int
    prompt: str
    extra: dict[str, Any] = field(default_factory=dict)
    image: bytes | ImageFile | None = None
    image_name: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that a filter of the source leaves out; `reason`, where it has one, is the name it is counted under."""

    number: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unfit:
    """In place of a value that is neither text nor a number; `reason` completes "its prompt …"."""

    reason: str


AnyRow = Row | BadRow | LeftOut


def unreadable(text: str) -> str | None:
    """Why a text cannot be a prompt, or None."""
    if not text.isascii() and _SURROGATE.search(text):  # the first takes no time, and settles it for most
        return NOT_TEXT[0]
    if "\0" in text:
        return NOT_TEXT[1]
    return None


def row_of(number: int, prompt: Any, /, **extra: Any) -> Row | BadRow:
    """A row if its prompt is readable text and the rest can be kept beside it, otherwise a bad row that says why."""
    if not isinstance(prompt, str):
        what = prompt.reason if isinstance(prompt, Unfit) else f"is not text but {type(prompt).__name__}"
        return BadRow(number, f"its prompt {what}")
    if reason := unreadable(prompt):
        return BadRow(number, f"it {reason}")
    for name, value in extra.items():
        if why_not := _not_kept(value):
            return BadRow(number, f"its {name} {why_not}")
    return Row(number, prompt, extra)


def _not_kept(value: Any) -> str | None:
    if isinstance(value, Unfit):
        return value.reason
    if isinstance(value, str):
        return unreadable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}"
    return None if value is None or isinstance(value, int | float) else f"is a {type(value).__name__}"
