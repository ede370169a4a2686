"""The rules that clean prompts, one file each here; which there are follows from listing this folder.

A file defines a class, a Rule whose `kind` is the file's name with `-` for `_`, and `refuses(prompt)`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jobs.registry import ByKind
from jobs.runtime.spec import Params

RULES = "jobs.collect.rules"


class Rule(Params):
    """What every rule has. A prompt that it refuses is left out and counted; the first rule that refuses one counts."""

    kind: str

    name: str = Field(default="", pattern=r"^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$")
    """What the refused prompts are counted under; empty for the rule's kind."""

    sources: tuple[str, ...] = ()
    """The names of the sources whose prompts it looks at; empty for all."""

    @property
    def counted_as(self) -> str:
        """What the refused prompts are counted under."""
        return self.name or self.kind

    def is_for(self, source: str) -> bool:
        """Whether it looks at the prompts of that source."""
        return not self.sources or source in self.sources

    def refuses(self, prompt: str) -> bool:
        """Whether a normalised prompt is to be left out."""
        raise NotImplementedError


AnyRule = Annotated[Rule, ByKind(RULES, Rule)]
