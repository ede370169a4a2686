"""Near duplicates filtered out of a list of prompts."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.dedup import deduplicate


def filter_prompts(prompts: Iterable[str], threshold: float = 0.8, *, threads: int | None = None) -> list[str]:
    """The prompts without near duplicates, in their order: each is kept unless one kept before it is that close.

    `threshold` is a cosine of all-MiniLM-L6-v2 vectors, more than 0 and at most 1; empty prompts are left out. What was
    dropped, and for which prompt, says `jobs.dedup.deduplicate`. Raises BadConfiguration where the model is missing or
    the threshold cannot be, BadData for a prompt that is no text.

    >>> import i2p
    >>> i2p.filter_prompts(["a red fox", "a lighthouse at night", "a  red fox", "a red fox in the snow"])
    ['a red fox', 'a lighthouse at night']
    """
    given = list(prompts)
    return [given[row] for row in deduplicate(given, threshold, threads=threads).kept]
