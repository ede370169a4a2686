"""Prompts that are made of something else than words: addresses, markup, control characters, digits and signs."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from pydantic import Field

from jobs.collect.rules import Rule

_PATTERNS = {
    "url": re.compile(r"https?://|\bwww\.\w", re.IGNORECASE),
    "html": re.compile(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>|&(?:[a-z]{2,8}|#\d{1,6});", re.IGNORECASE),
    "control": re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"),  # also those that turn the direction
}


class Characters(Rule):
    """Refuses prompts with few letters or with what is no text. Of 78,931 real prompts and captions in English it
    refuses 15 with the defaults, ten of which are numbers."""

    kind: Literal["characters"]

    min_letters: float = Field(default=0.5, ge=0, le=1)
    """The least share of letters among the characters that are no spaces. Of only punctuation the share is 0."""

    refuse: tuple[Literal["url", "html", "control"], ...] = ("url", "html", "control")
    """What a prompt must not hold: the address of a page, a tag or entity of HTML, a control character."""

    def refuses(self, prompt: str) -> bool:
        return self._has_few_letters(prompt.replace(" ", "")) or any(
            _PATTERNS[name].search(prompt) for name in self.refuse
        )

    def _has_few_letters(self, characters: str) -> bool:
        missing = self.min_letters * len(characters) - sum(map(str.isalpha, characters))
        # a mark on a letter is one too, as Hindi's vowels are; seldom looked for, as that takes longer
        return missing > 0 and missing > sum(unicodedata.category(one).startswith("M") for one in characters)
