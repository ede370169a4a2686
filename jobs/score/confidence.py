"""Whether a system knows how good it is: expected cosines against true ones, and what is gained by leaving some out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.regressor.reliability import Bin, bins_of, calibration_error, surest

_TENTHS = 10

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The pairs that the system is surest of: their share of all it predicted, and 1 - their mean cosine, the risk."""

    coverage: float
    samples: int
    risk: float
    least_expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How expected and true cosines go together, over the `samples` predictions with an expected cosine."""

    samples: int
    calibration_error: float
    """The mean over pairs of the distance between expected and true mean of their bin."""

    mean_absolute_error: float
    """The mean distance between the expected and the true cosine of a pair."""

    bias: float
    """Mean of expected minus true: above 0, it promises too much."""

    bins: list[Bin]
    coverage: list[Coverage]
    """At tenths of all predictions, the surest first, up to those that have an expected cosine."""

    area_under_risk: float
    """The mean risk over all numbers of pairs that could be answered, the surest first (Geifman and El-Yaniv 2017)."""


def confidence_of(cosines: Floats, expected: Floats, predicted: Flags, abstained: Flags) -> Confidence | None:
    """The figures, from arrays of shape (n,); None where no prediction has an expected cosine.

    A prediction that is abstained from counts as unsure, whatever is expected of it.
    """
    rows = np.flatnonzero(predicted & ~abstained & ~np.isnan(expected))
    if not len(rows):
        return None
    rows = rows[np.argsort(-expected[rows], kind="stable")]
    said, true = expected[rows], cosines[rows]
    bins = bins_of(said, true)
    return Confidence(
        samples=len(rows),
        calibration_error=calibration_error(bins) or 0.0,
        mean_absolute_error=float(np.abs(said - true).mean()),
        bias=float((said - true).mean()),
        bins=bins,
        coverage=_coverage(said, true, int(predicted.sum())),
        area_under_risk=float((1 - np.cumsum(true) / np.arange(1, len(true) + 1)).mean()),
    )


def _coverage(said: Floats, true: Floats, total: int) -> list[Coverage]:
    counts = {max(1, round(total * tenth / _TENTHS)) for tenth in range(1, _TENTHS + 1)}
    known = sorted({*(one for one in counts if one < len(true)), len(true)})
    return [
        Coverage(coverage=one.share, samples=one.samples, risk=1 - one.true, least_expected=one.least_expected)
        for one in surest(said, true, known, total)
    ]
