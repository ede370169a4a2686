"""Two prompts beside each other, with the words marked that only one of them has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_RUN = 24  # words shown of what two prompts have in common in one position, or not

Runs = tuple[tuple[str, bool], ...]  # words that belong together, and whether the other prompt lacks them there


def marked(one: str, other: str) -> tuple[Runs, Runs]:
    """Both texts in runs of words, True for runs that the other does not have there; long runs are shortened."""
    left, right = one.split(), other.split()
    lefts, rights = [], []
    matcher = difflib.SequenceMatcher(None, list(map(_bare, left)), list(map(_bare, right)), autojunk=False)
    for same, i, j, k, m in matcher.get_opcodes():
        if i < j:
            lefts.append((_shortened(left[i:j]), same != "equal"))
        if k < m:
            rights.append((_shortened(right[k:m]), same != "equal"))
    return tuple(lefts), tuple(rights)


def _shortened(run: Sequence[str]) -> str:
    return " ".join(run if len(run) <= _RUN else [*run[: _RUN // 2], "…", *run[-_RUN // 2 :]])


def _bare(word: str) -> str:
    return word.strip(",.;:!?").casefold() or word
