"""The numbers of a system: its score and what it takes to judge it, from cosines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.regressor.intervals import ENOUGH_IMAGES, NUM_RESAMPLES, PairedDifference, interval, paired_difference
from jobs.regressor.metric import cosines
from jobs.score.confidence import Confidence, confidence_of
from jobs.score.pairs import Pair
from jobs.score.systems import System

CONSTANT, MEAN_PREDICTION = "constant", "mean_prediction"
BASELINES = {
    CONSTANT: "the mean vector of the model's training prompts, whatever the image",
    MEAN_PREDICTION: "the mean of the system's predictions for the other pairs",
}

_LENGTHS = (5, 10, 20, 40, 80)  # the most words of a group of prompts
_NUM_CASES = 8  # of the best, and of the worst

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The mean cosine of some pairs; no interval of so few that it would be narrower than it says."""

    name: str
    samples: int
    score: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a system scores on the pairs it has a prediction for; pairs without one do not enter any mean."""

    system: str
    samples: int
    unpredicted: int
    foreign: list[str]
    score: float | None
    interval: Interval | None
    abstained: int
    answered: Part
    """Of the pairs for which the system did not abstain."""

    baselines: dict[str, float]
    above_baselines: dict[str, Interval]
    """The 95 % interval of the mean difference to each baseline, pair by pair; empty of too few pairs."""

    by_source: list[Part]
    by_words: list[Part]
    confidence: Confidence | None
    """None of a system that says no expected cosine."""

    cosines: Floats = field(repr=False)
    """Of each pair, float64 of shape (n,); NaN where there is no prediction."""

    best: list[int]
    worst: list[int]
    """Rows of pairs."""


def measured(system: System, true: NDArray[np.float32], pairs: Sequence[Pair]) -> Measured:
    """The numbers of a system; `true` are the vectors of the pairs' prompts, float32 of shape (n, 384)."""
    found = np.where(system.predicted, cosines(system.vectors, true), np.nan)
    rows = np.flatnonzero(system.predicted)
    own = found[rows]
    total = part("all", own)
    abstained = np.array([reason is not None for reason in system.abstained], bool)
    baselines = {name: cosines(vectors, true[rows]) for name, vectors in _baselines(system, rows).items()}
    order = rows[np.argsort(-own, kind="stable")].tolist()
    return Measured(
        system=system.name,
        samples=len(rows),
        unpredicted=len(pairs) - len(rows),
        foreign=system.foreign,
        score=total.score,
        interval=_interval(own) if len(own) else None,
        abstained=int(abstained.sum()),
        answered=part("answered", found[system.predicted & ~abstained]),
        baselines={name: float(values.mean()) for name, values in baselines.items()},
        above_baselines={
            name: _interval(own - values) for name, values in baselines.items() if len(own) >= ENOUGH_IMAGES
        },
        by_source=_parts([pairs[row].source for row in rows.tolist()], own, key=str),
        by_words=_parts([_length(pairs[row].words) for row in rows.tolist()], own, key=_first_number),
        confidence=confidence_of(found, system.expected, system.predicted, abstained),
        cosines=found,
        best=order[:_NUM_CASES],
        worst=order[::-1][:_NUM_CASES],
    )


def difference(first: Measured, second: Measured) -> PairedDifference:
    """By how much the second system is better, on the pairs that both predicted."""
    both = ~np.isnan(first.cosines) & ~np.isnan(second.cosines)
    return paired_difference(first.cosines[both], second.cosines[both])


def part(name: str, values: Floats) -> Part:
    """The mean of some cosines with its interval."""
    return Part(
        name=name,
        samples=len(values),
        score=float(values.mean()) if len(values) else None,
        interval=_interval(values) if len(values) >= ENOUGH_IMAGES else None,
    )


def _interval(values: Floats) -> Interval:
    return interval(values, num_resamples=NUM_RESAMPLES, seed=0)


def _baselines(system: System, rows: NDArray[np.intp]) -> Mapping[str, NDArray[np.floating]]:
    """The vectors of predictions that look at no image, one for each row; none of a system without predictions."""
    if not len(rows):
        return {}
    own = system.vectors[rows]
    found = {} if system.training_mean is None else {CONSTANT: np.broadcast_to(system.training_mean, own.shape)}
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    units = np.divide(own, lengths, out=np.zeros_like(own), where=lengths > 0)
    return {**found, MEAN_PREDICTION: units.sum(axis=0, dtype=np.float64) - units}


def _parts(names: Sequence[str], values: Floats, key: Callable[[str], str | int]) -> list[Part]:
    of_rows = np.array(names, dtype=object)
    return [part(name, values[of_rows == name]) for name in sorted(set(names), key=key)]


def _length(words: int) -> str:
    first = 1
    for most in _LENGTHS:
        if words <= most:
            return f"{first} to {most} words"
        first = most + 1
    return f"{first} words and more"


def _first_number(name: str) -> int:
    return int(name.partition(" ")[0])
