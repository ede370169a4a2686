"""Keeps one of every group of near-duplicate prompts, exactly, and names the kept witness of each dropped one.

    from jobs.dedup import deduplicate

is the filter as a function, which is imported when it is first asked for: the controller imports this package too, and
has neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.dedup.tool.filtering import Dropped, Filtered, deduplicate

__all__ = ["Dropped", "Filtered", "deduplicate"]


if not TYPE_CHECKING:  # for which every name would exist then

    def __getattr__(name: str) -> Any:
        if name in __all__:
            from jobs.dedup.tool import filtering

            return getattr(filtering, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
