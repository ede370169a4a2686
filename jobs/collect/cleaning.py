"""Which rule refuses a prompt."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.collect.rules import Rule


def refusal(rules: Iterable[Rule], prompt: str, source: str) -> str | None:
    """What a normalised prompt of that source is counted under where a rule refuses it; None where none does."""
    return next((rule.counted_as for rule in rules if rule.is_for(source) and rule.refuses(prompt)), None)
