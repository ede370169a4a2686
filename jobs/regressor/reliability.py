"""Expected against true cosines: bins, calibration error, and what the surest predictions score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BINS = 10
_PER_BIN = 10  # images at least, but for a single bin: of fewer, a bin's mean says little


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Images of about the same expected cosine: how many, and both means."""

    samples: int
    expected: float
    true: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Surest:
    """The images of which most is expected: their share, the least expected of one, and their mean true cosine."""

    share: float
    samples: int
    least_expected: float
    true: float


def bins_of(expected: Floats, true: Floats) -> list[Bin]:
    """Bins of equally many images, in ascending order of what is expected; arrays of shape (n,)."""
    if not len(expected):
        return []
    parts = np.array_split(np.argsort(expected, kind="stable"), max(1, min(_BINS, len(expected) // _PER_BIN)))
    return [
        Bin(samples=len(part), expected=float(expected[part].mean()), true=float(true[part].mean())) for part in parts
    ]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """The mean over images of the difference of both means of their bin; None without images.

    The expected calibration error (Naeini et al. 2015); bins of equal counts as Nixon et al. 2019 have them.
    """
    total = sum(one.samples for one in bins)
    return sum(one.samples * abs(one.expected - one.true) for one in bins) / total if total else None


def surest(expected: Floats, true: Floats, counts: Sequence[int], total: int) -> list[Surest]:
    """For each of the counts, as many of the surest images (El-Yaniv and Wiener 2010); `total` are all there are.

    Arrays are of shape (n,), and counts from 1 to n.
    """
    order = np.argsort(-expected, kind="stable")
    return [
        Surest(
            share=count / total,
            samples=count,
            least_expected=float(expected[order[count - 1]]),
            true=float(true[order[:count]].mean()),
        )
        for count in counts
    ]
