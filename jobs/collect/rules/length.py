"""Prompts of too few or too many words or characters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobs.collect.rules import Rule


class Length(Rule):
    """Refuses prompts that are shorter or longer, e.g. of one source where `collect.min_words` is for all."""

    kind: Literal["length"]

    min_words: int = Field(default=0, ge=0)
    """A word is what stands between spaces."""

    max_words: int | None = Field(default=None, ge=1)
    """null for no limit."""

    min_characters: int = Field(default=0, ge=0)

    max_characters: int | None = Field(default=None, ge=1)
    """null for no limit but `collect.max_characters`."""

    def refuses(self, prompt: str) -> bool:
        return not (
            self.min_words <= len(prompt.split()) <= (self.max_words or len(prompt))
            and self.min_characters <= len(prompt) <= (self.max_characters or len(prompt))
        )
