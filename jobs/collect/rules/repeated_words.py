"""Prompts that say the same over and over: `cat cat cat cat`, `red dog, red dog, red dog`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from jobs.collect.rules import Rule

_WORD = re.compile(r"\w+")
_LONGEST = 8  # words of a phrase that is looked for again right after itself


class RepeatedWords(Rule):
    """Refuses prompts in which a word is too frequent, or a word or phrase follows itself too often."""

    kind: Literal["repeated-words"]

    max_share: float = Field(default=0.5, gt=0, le=1)
    """The most that the most frequent word may be of all words."""

    min_words: int = Field(default=6, ge=1)
    """Of prompts with fewer words the share says nothing, and is not looked at."""

    max_run: int = Field(default=3, ge=1)
    """The most times that a word, or the same two to eight words, may stand in a row."""

    def refuses(self, prompt: str) -> bool:
        words = _WORD.findall(prompt.casefold())
        if len(words) >= self.min_words and max(Counter(words).values()) > self.max_share * len(words):
            return True
        longest = min(_LONGEST, len(words) // (self.max_run + 1))
        return any(_longest_run(words, size) > self.max_run for size in range(1, longest + 1))


def _longest_run(words: Sequence[str], size: int) -> int:
    """How many times the same `size` words stand in a row, at most; 1 where none follow themselves."""
    longest = same = 0
    for word, earlier in zip(words[size:], words, strict=False):
        same = same + 1 if word == earlier else 0
        longest = max(longest, same)
    return longest // size + 1
