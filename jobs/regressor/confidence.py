"""How sure a prediction is: the cosine to expect of it, with an interval, or that nothing can be said and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jobs.regressor.conformal import residual_quantiles, upper_limit
from jobs.regressor.signals import Signals
from jobs.regressor.values import Confidence, Limit, SignalName

Floats = NDArray[np.float64]
Beyond = Literal["below", "above"]

COVERAGE = 0.9
FOLDS = 5
_BINS = 32
_PER_BIN = 25  # images, so that the mean of a bin errs by a fifth of the cosines' spread
_DECIMALS = 6
_LEAST_DISTANCE = 1e-6  # of which a logarithm is taken

# The reason that is given is that of the first limit that an image is beyond.
REASONS: dict[tuple[SignalName, Beyond], str] = {
    ("feature_distance", "above"): "unlike anything in training: the network sees in it what no training image has",
    ("closest_cosine", "below"): "unlike anything in training: no training prompt is close to what was read out of it",
    ("detail", "below"): "unlike anything in training: it has less fine detail than the images that were measured",
    ("detail", "above"): "unlike anything in training: it has more fine detail than the images that were measured",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to expect of one prediction: a cosine and its interval, or the reason why there is none."""

    expected: float | None
    interval: tuple[float, float] | None
    abstained: str | None


def fit_confidence(found: Signals, true_cosines: Floats, *, error_rate: float, feature_images: int) -> Confidence:
    """From n >= 1 held-out images whose true cosines are known, of shape (n,), and that were not trained with.

    Limits are conformal quantiles. The map comes from the images within them: weights by least squares, none of which
    may say that a closer prompt or image is worse, then means of quantile bins of trust, made monotone by pooling
    adjacent violators (Ayer et al. 1955). The interval comes from residuals of images that the map was not fitted on
    (cross-validation, as Barber et al. 2021 do).
    """
    limits, promised = _limits(found, error_rate)
    kept = within(limits, found)
    kept = kept if kept.any() else np.ones_like(kept)
    inside, true = found.rows(kept), true_cosines[kept]
    mapped = _map(inside, true)
    low, high = residual_quantiles(_residuals(inside, true), COVERAGE)
    return Confidence(
        images=len(true_cosines),
        feature_images=feature_images,
        error_rate=error_rate,
        promised_error_rate=round(promised, _DECIMALS),
        signal_limits=limits,
        closest_cosine_weight=mapped.weights[0],
        log_feature_distance_weight=mapped.weights[1],
        trust=mapped.trust,
        expected_cosine=mapped.expected,
        residuals=(round(low, _DECIMALS), round(high, _DECIMALS)),
        coverage=COVERAGE,
    )


def judged(confidence: Confidence, found: Signals) -> Iterator[Judgement]:
    """What to expect of each prediction. Signals that are no numbers are beyond every limit."""
    mapped = _Map(
        (confidence.closest_cosine_weight, confidence.log_feature_distance_weight),
        confidence.trust,
        confidence.expected_cosine,
    )
    expected = mapped.at(found)
    low, high = (np.clip(expected + residual, -1, 1) for residual in confidence.residuals)
    passed = [(limit, within((limit,), found)) for limit in confidence.signal_limits]
    for row in range(len(expected)):
        beyond = next((limit for limit, inside in passed if not inside[row]), None)
        if beyond is not None:
            yield Judgement(None, None, REASONS[beyond.signal, beyond.beyond])
        else:
            ends = round(float(low[row]), _DECIMALS), round(float(high[row]), _DECIMALS)
            yield Judgement(round(float(expected[row]), _DECIMALS), ends, None)


def within(limits: tuple[Limit, ...], found: Signals) -> NDArray[np.bool_]:
    """Whether each image is beyond none of the limits, of shape (n,)."""
    inside = np.ones(len(found.closest_cosine), bool)
    for limit in limits:
        values = found.of(limit.signal)
        inside &= values >= limit.value if limit.beyond == "below" else values <= limit.value
    return inside


def _limits(found: Signals, error_rate: float) -> tuple[tuple[Limit, ...], float]:
    """The limits, and the error rate that all together keep."""
    limits, promised = [], 0.0
    for signal, beyond in REASONS:
        sign = 1 if beyond == "above" else -1
        value, rate = upper_limit(sign * found.of(signal), error_rate / len(REASONS))
        limits.append(Limit(signal=signal, beyond=beyond, value=_outwards(sign * value, sign)))
        promised += rate
    return tuple(limits), min(promised, 1.0)


def _outwards(value: float, sign: int) -> float:
    """The value rounded away from the measured ones, so that these stay within."""
    return float(sign * np.ceil(sign * value * 10**_DECIMALS) / 10**_DECIMALS)


@dataclass(frozen=True, slots=True)
class _Map:
    """From signals to expected cosines."""

    weights: tuple[float, float]  # of the closest cosine, and of the logarithm of the feature distance
    trust: list[float]
    expected: list[float]

    def at(self, found: Signals) -> Floats:
        values: Floats = np.interp(_terms(found) @ np.array(self.weights), self.trust, self.expected)
        return values


def _terms(found: Signals) -> Floats:
    return np.column_stack([found.closest_cosine, np.log(np.maximum(found.feature_distance, _LEAST_DISTANCE))])


def _map(found: Signals, true: Floats) -> _Map:
    weights = _weights(_terms(found), true)
    trust, expected = _rising(_terms(found) @ np.array(weights), true)
    return _Map(weights, trust, expected)


def _weights(terms: Floats, true: Floats) -> tuple[float, float]:
    """By least squares; a term that would count against what it means is left out."""
    centred, wanted, signs = terms - terms.mean(axis=0), true - true.mean(), np.array([1.0, -1.0])
    weights, left = np.zeros(2), [0, 1]
    while left:
        found = np.linalg.lstsq(centred[:, left], wanted, rcond=1e-9)[0]
        if (wrong := found * signs[left]).min() >= 0:
            weights[left] = found
            break
        left.pop(int(wrong.argmin()))
    return round(float(weights[0]), _DECIMALS), round(float(weights[1]), _DECIMALS)


def _rising(trust: Floats, true: Floats) -> tuple[list[float], list[float]]:
    """The knots of a map that never falls."""
    order = np.argsort(trust, kind="stable")
    blocks: list[tuple[float, float, int]] = []  # mean trust, mean true cosine, images
    for bin_ in np.array_split(order, max(1, min(_BINS, len(order) // _PER_BIN))):
        blocks.append((float(trust[bin_].mean()), float(true[bin_].mean()), len(bin_)))
        while len(blocks) > 1 and (blocks[-2][1] >= blocks[-1][1] or blocks[-2][0] >= blocks[-1][0]):
            (x1, y1, n1), (x2, y2, n2) = blocks[-2:]
            n = n1 + n2
            blocks[-2:] = [((x1 * n1 + x2 * n2) / n, (y1 * n1 + y2 * n2) / n, n)]
    return [round(block[0], _DECIMALS) for block in blocks], [round(block[1], _DECIMALS) for block in blocks]


def _residuals(found: Signals, true: Floats) -> Floats:
    """True less expected cosine of each image, expected by a map from the other folds."""
    n = len(true)
    folds = np.arange(n) % min(FOLDS, n)
    residuals = np.zeros(n)
    for fold in range(folds.max() + 1):
        inside = folds == fold
        if inside.all():
            continue
        residuals[inside] = true[inside] - _map(found.rows(~inside), true[~inside]).at(found.rows(inside))
    return residuals
