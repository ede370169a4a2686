"""The values of a JSON array or object, one at a time, however large the file; a bad one costs itself only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from jobs.collect.sources.rows import Unfit

_BLOCK = 128 << 10  # characters that are read at once
_NEAR_THE_END = 16  # characters: a literal, number or escape that the end of what is read cuts off is no longer

_AFTER_A_VALUE = tuple(" \t\r\n,:]}")
_SPACES = re.compile(r"[ \t\r\n]*")
_OUTSIDE = re.compile(r'[\[{]+|[\]},"]')
_IN_STRING = re.compile(r'["\\]')


class NotJson(Exception):
    """A file is no JSON array and no JSON object, or not to its end; the text says why."""


def values_in(text: TextIO, most: int) -> Iterator[tuple[str, Any]]:
    """The values of the one array or object in a text, with their names in the object, else with "".

    In place of one that cannot be decoded, or has more than `most` characters, stands Unfit. So much is held at most,
    twice over. A comma after the last value is allowed. Raises NotJson.
    """
    window = _Window(text, most)
    first = window.next_character()
    if first not in ("[", "{"):
        raise NotJson(f"it begins with {first!r}, and not with [ or {{" if first else "it is empty")
    close = {"[": "]", "{": "}"}[first]
    window.position += 1
    if window.next_character() == "\0":
        raise NotJson("it holds NUL characters, as UTF-16 does when it is read as another encoding; set `encoding`")
    while window.next_character() != close:
        name = window.name() if close == "}" else ""
        yield name, window.value()
        window.step_over(",", or_before=close)
    window.position += 1
    if window.next_character():
        raise NotJson(f"something follows its {close}; is it JSON lines, for which `kind: jsonl` is?")


class _Window:
    """The part of a text that is held, and the position in it up to which it is read."""

    def __init__(self, text: TextIO, most: int) -> None:
        self._text, self._most = text, most
        self._held, self._is_end = "", False
        self._decoder = json.JSONDecoder()
        self.position = 0

    def next_character(self) -> str:
        """The next character that is no space, which stays to be read; empty at the end."""
        while True:
            found = _SPACES.match(self._held, self.position)
            self.position = found.end() if found else self.position
            if self.position < len(self._held) or not self._read_more():
                return self._held[self.position : self.position + 1]

    def step_over(self, character: str, *, or_before: str) -> None:
        """Read this character, unless the other one stands there; raises NotJson where it is neither."""
        found = self.next_character()
        if found == character:
            self.position += 1
        elif found != or_before:
            raise NotJson(
                f"{found!r} stands where {character} is required" if found else "it ends in the middle; fetch it again"
            )

    def name(self) -> str:
        """The name of a member, and the colon after it; raises NotJson."""
        name = self.value()
        if not isinstance(name, str):
            raise NotJson(f"a member has no name: it {name.reason}" if isinstance(name, Unfit) else "a name is no text")
        self.step_over(":", or_before=":")
        self.next_character()
        return name

    def value(self) -> Any:
        """The value that begins here, or Unfit; then the position is after it."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self.position)
            except json.JSONDecodeError as error:
                reason = f"is not JSON: {error.msg}"
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._held) - _NEAR_THE_END
                end = len(self._held) if is_cut else self.position
            except (ValueError, RecursionError) as error:  # a number of more than 4,300 digits; a value in a thousand
                reason, is_cut, end = f"is not JSON: {error}", False, self.position
            else:
                after = self._held[end : end + _NEAR_THE_END]
                reason = ""
                is_cut = after[:1] not in _AFTER_A_VALUE and len(after) < _NEAR_THE_END  # a number may go on
            if end - self.position > self._most:
                reason = f"has more than {self._most:,} characters"
            elif is_cut and not self._is_end:
                self._read_more()
                continue
            elif not reason:
                self.position = end
                return value
            self._skip()
            return Unfit(reason)

    def _read_more(self) -> bool:
        """Let go of what is read, and hold more than as much again, so that no value is decoded many times."""
        self._held = self._held[self.position :]
        self.position = 0
        more = self._text.read(max(_BLOCK, len(self._held)))
        self._held += more
        self._is_end = not more
        return not self._is_end

    def _skip(self) -> None:
        """Go to the comma or bracket after a value, or to the end, without decoding it."""
        depth, in_string = 0, False
        while True:
            found = (_IN_STRING if in_string else _OUTSIDE).search(self._held, self.position)
            if found is None or (found[0] == "\\" and found.end() == len(self._held)):
                self.position = len(self._held) if found is None else found.start()
                if not self._read_more():
                    self.position = len(self._held)
                    return
                continue
            if not in_string and depth == 0 and found[0] in ",]}":
                self.position = found.start()
                return
            self.position = found.end() + (found[0] == "\\")
            if found[0] == '"':
                in_string = not in_string
            elif not in_string:
                depth += len(found[0]) if found[0][0] in "[{" else -(found[0] in "]}")
