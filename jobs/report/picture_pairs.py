"""Pairs of pictures that are shown beside each other: `macros.picture_pair` draws one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jobs.report.pictures import is_small_png, png_uri


class Pair(Protocol):
    """What is known of two pictures of different splits, the second of the earlier one."""

    @property
    def cosine(self) -> float: ...
    @property
    def split(self) -> str: ...
    @property
    def witness_split(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def witness_prompt(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """Two pictures of different splits, with their prompts and the cosine of their signatures."""

    key: str  # of the first one
    cosine: float
    uris: tuple[str, str]
    splits: tuple[str, str]
    prompts: tuple[str, str]
    small: bool


def picture_pair(key: str, pair: Pair, *pngs: bytes) -> PicturePair:
    """A pair with its two pictures."""
    first, second = pngs
    return PicturePair(
        key=key,
        cosine=pair.cosine,
        uris=(png_uri(first), png_uri(second)),
        splits=(pair.split, pair.witness_split),
        prompts=(pair.prompt, pair.witness_prompt),
        small=is_small_png(first),
    )
