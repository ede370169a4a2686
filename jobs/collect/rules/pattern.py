"""Prompts in which a regular expression is found, or is not found."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from jobs.collect.rules import Rule
from jobs.errors import BadConfiguration

# What RE2 has not: a token is an escape, a set of characters, the beginning of a group, or one character.
_TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|P=|\()|.", re.DOTALL)
_ONLY_IN_RE2 = re.compile(r"\\[pP](\{\^?\w+\}|\w)|\\z|\\C|\\Q.*?\\E")  # what `re` does not know


def _linear(pattern: str) -> str:
    for token in _TOKENS.findall(pattern):
        if token.startswith("(?") or re.fullmatch(r"\\[1-9]", token):
            raise ValueError(
                f"pattern: {token} looks around or back, for which no pattern can be matched in linear time; write two "
                "rules instead"
            )
    try:
        re.compile(_ONLY_IN_RE2.sub("x", pattern))
    except re.error as error:
        raise ValueError(f"pattern: {pattern!r} is not a regular expression: {error}") from error
    return pattern


class Pattern(Rule):
    """Refuses prompts in which a regular expression is found, or those in which it is missing. Which of the two has to
    be said: the clean-up pattern of the original work was inverted, and kept nearly everything.

    The syntax is that of RE2, which takes a time that grows with the prompt's length for every pattern, about 0.1 ms.
    """

    kind: Literal["pattern"]

    pattern: Annotated[str, AfterValidator(_linear)] = Field(min_length=1, max_length=1_000)
    """Found anywhere in the prompt, unless it has ^ and $. (?i) at the beginning for letters in any case."""

    refuse: Literal["found", "missing"]
    """Which prompts are refused: those in which the pattern is found, or those in which it is missing."""

    def refuses(self, prompt: str) -> bool:
        import pyarrow as arrow
        import pyarrow.compute as compute

        try:
            found = compute.match_substring_regex(arrow.scalar(prompt), self.pattern).as_py()
        except arrow.ArrowInvalid as error:
            raise BadConfiguration(f"collect.rules: {self.counted_as}: {error}; see RE2's syntax") from error
        return bool(found) == (self.refuse == "found")
