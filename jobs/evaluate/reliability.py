"""Whether expected cosines are those that images get: reliability, calibration error, and risk against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.contract import Abstained, Coverage, Reliability, ReliabilityBin
from jobs.evaluate.scores import rounded
from jobs.regressor.confidence import FOLDS, Judgement, fit_confidence, judged
from jobs.regressor.reliability import bins_of, calibration_error, surest
from jobs.regressor.signals import Signals
from jobs.regressor.values import Confidence

Floats = NDArray[np.float64]

_POINTS = 20  # of the curve of risk against coverage


@dataclass(frozen=True, slots=True)
class Measured:
    """n images of a split: their signals, and their true cosines, float64 of shape (n,)."""

    split: str
    signals: Signals
    true: Floats


def reliability(confidence: Confidence, fitted_on: Measured, checked: Measured | None) -> Reliability | None:
    """How well the confidence does on images it was not fitted on.

    Those are `checked`, or where there are none the images it was fitted on, each judged by what the other folds give.
    None where there is a single image.
    """
    abstained = {fitted_on.split: _abstained(list(judged(confidence, fitted_on.signals)))}
    if checked is not None:
        found, measured = list(judged(confidence, checked.signals)), checked
        abstained[checked.split] = _abstained(found)
    elif len(fitted_on.true) > 1:
        found, measured = _cross_fitted(confidence, fitted_on), fitted_on
        abstained[fitted_on.split] = _abstained(found)
    else:
        return None
    kept = np.array([one.abstained is None for one in found])
    expected = np.array([one.expected for one in found if one.expected is not None], np.float64)
    intervals = np.array([one.interval for one in found if one.interval is not None], np.float64).reshape(-1, 2)
    true = measured.true[kept]
    bins = bins_of(expected, true)
    error = calibration_error(bins)
    held = (intervals[:, 0] <= true) & (true <= intervals[:, 1])
    return Reliability(
        split=measured.split,
        cross_fitted=checked is None,
        error_rate=confidence.error_rate,
        promised_error_rate=confidence.promised_error_rate,
        abstained=abstained,
        mean_expected=_mean(expected),
        mean_true=_mean(true),
        calibration_error=None if error is None else rounded(error),
        bins=tuple(
            ReliabilityBin(mean_expected=rounded(one.expected), mean_true=rounded(one.true), images=one.samples)
            for one in bins
        ),
        interval=confidence.coverage,
        interval_held=_mean(held),
        risk_coverage=_risk_coverage(expected, true, len(found)),
    )


def _cross_fitted(confidence: Confidence, measured: Measured) -> list[Judgement]:
    """What the confidence of all other folds says of each image."""
    count = len(measured.true)
    folds = np.arange(count) % min(FOLDS, count)
    found: dict[int, Judgement] = {}
    for fold in range(folds.max() + 1):
        inside = folds == fold
        others = fit_confidence(
            measured.signals.rows(~inside),
            measured.true[~inside],
            error_rate=confidence.error_rate,
            feature_images=confidence.feature_images,
        )
        found |= zip(np.flatnonzero(inside).tolist(), judged(others, measured.signals.rows(inside)), strict=True)
    return [found[row] for row in range(count)]


def _abstained(found: Sequence[Judgement]) -> Abstained:
    return Abstained(images=len(found), abstained=sum(one.abstained is not None for one in found))


def _risk_coverage(expected: Floats, true: Floats, images: int) -> tuple[Coverage, ...]:
    """Mean true cosine of the surest, for more and more of them."""
    counts = sorted({-(-len(true) * point // _POINTS) for point in range(1, _POINTS + 1)} - {0})
    found = surest(expected, true, counts, images)
    return tuple(Coverage(share=rounded(one.share), cosine=rounded(one.true)) for one in found)


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return rounded(values.mean()) if len(values) else None
