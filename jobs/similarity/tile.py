"""Some vectors with all that they are compared by: what a block of queries and a part of an index both are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from jobs.similarity.coded import Coded
from jobs.similarity.exact import Floats
from jobs.similarity.screens import Screen

_MULTIPLE = 64  # rows of codes, so that there are few shapes: oneDNN compiles what it multiplies for each of them


@dataclass(frozen=True, slots=True)
class Tile:
    """Vectors; `codes` may have rows of zeros beyond them."""

    first: int  # the number of the first of them, where they are of an index
    vectors: Floats
    norms: Floats
    codes: torch.Tensor
    slack: float  # the largest

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def of(cls, coded: Coded, screen: Screen, first: int = 0) -> Self:
        """A tile of these vectors, which are coded on this screen."""
        codes = _filled_up(coded.codes) if screen.few_shapes else coded.codes
        return cls(first, coded.vectors, coded.norms, codes, float(coded.slack.max(initial=0.0)))


def _filled_up(codes: torch.Tensor) -> torch.Tensor:
    if len(codes) % _MULTIPLE == 0:
        return codes
    filled = codes.new_zeros((-_MULTIPLE * (-len(codes) // _MULTIPLE), codes.shape[1]))
    filled[: len(codes)] = codes
    return filled
