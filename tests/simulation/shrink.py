"""A failing schedule made as short and as quiet as it can be while it still breaks the same invariant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Fails = Callable[[Sequence[int]], bool]


def shrink(made: Sequence[int], fails: Fails, *, tries: int = 2_000) -> list[int]:
    """The choices with as many as possible cut off at the end or made 0, the quiet choice; `fails` is asked `tries`
    times at most. Returns the choices as they are where they do not fail.
    """
    script = list(made)
    left = tries

    def still(candidate: list[int]) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(candidate)

    if not still(script):
        return script
    script = _shortest(script, still)
    width = max(1, len(script) // 2)
    while left > 0:
        changed = False
        for start in range(0, len(script), width):
            if any(script[start : start + width]):
                candidate = [*script[:start], *[0] * len(script[start : start + width]), *script[start + width :]]
                if still(candidate):
                    script, changed = candidate, True
        if width == 1 and not changed:
            break
        width = max(1, width // 2)
    return _without_zeros_at_end(script)


def _shortest(script: list[int], still: Callable[[list[int]], bool]) -> list[int]:
    """Halve what is cut off until nothing more can be."""
    cut = len(script) // 2
    while cut:
        if still(script[:-cut]):
            script = script[:-cut]
            cut = min(cut, len(script) // 2)
        else:
            cut //= 2
    return script


def _without_zeros_at_end(script: list[int]) -> list[int]:
    while script and not script[-1]:
        script = script[:-1]
    return script
