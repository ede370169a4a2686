"""The grammar, a synthetic source: it writes its prompts instead of reading them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from jobs.collect.sources.base import WrittenSource
from jobs.collect.sources.rows import Row
from jobs.synthetic import grammar


class Grammar(WrittenSource):
    """Prompts from a grammar of a few hundred phrases."""

    kind: Literal["grammar"]
    licence: str | None = "CC0-1.0"

    seed: int = 0

    num_prompts: int = Field(default=3000, ge=1)
    """Prompts to write, repetitions counted."""

    def rows(self) -> Iterator[Row]:
        """The prompts in their order."""
        for number, prompt in enumerate(grammar.prompts(seed=self.seed, start=0, count=self.num_prompts), 1):
            yield Row(number, prompt)
